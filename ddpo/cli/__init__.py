"""The command line behind train_space.py: its commands, their options, and the progress of a run.

It imports the engine, never `ui`.
"""
