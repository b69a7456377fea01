"""The endpoints for other programs, with plain typed parameters.

It imports the engine and what the tabs do, not how they look.
"""
