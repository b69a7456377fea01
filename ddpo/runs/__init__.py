"""Run folders: made, listed, trained in a process of their own, saved, resumed, estimated and judged.

It imports everything down to `training`, and knows no page and no command line.
"""
