"""DDPO: the objective, the samples that it learns from, and the loop over them, told as events.

It imports `common`, `diffusion` and `rewards`; it writes no file and prints nothing.
"""
