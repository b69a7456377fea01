"""The page and its endpoints: they lay out components and format results, the engine does the rest.

It may import every other room; none imports it. No torch here.
"""
