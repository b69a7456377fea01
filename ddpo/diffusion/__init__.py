"""Diffusion models: from a source to a network with its noise schedule, and from seeds to pictures.

It imports `common` and `hub`; `step`, which is the mathematics, imports torch alone.
"""
