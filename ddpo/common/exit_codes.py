"""How a command ends, as a shell sees it; train_space.py and `ddpo.evaluation` tell what each means."""

DONE, FAILED, WRONG_USAGE, BUSY, OUT_OF_TIME = range(5)
