"""The Train tab: a form, and a run as its folder tells of it.

It imports the engine, `ui.shared`, `ui.space` and, for the way back to a comparison, `ui.compare`.
"""
