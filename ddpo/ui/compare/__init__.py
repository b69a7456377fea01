"""The Compare tab: controls, progress and results.

It imports the engine, `ui.shared` and `ui.space`.
"""
