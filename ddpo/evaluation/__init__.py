"""Is it really better? Many models, schedulers, steps and seeds, with what the reward does not say, and a verdict.

It imports everything down to `comparison`; the page and the command line import it.
"""
