"""The Evaluate tab: a grid of models, schedulers and steps, its cost, its cells as they finish, and the verdict.

It imports the engine, `ui.shared`, `ui.space` and `ui.compare`.
"""
