"""A base model against its finetuned version: the same seeds, scored, with paired statistics, and as files.

It imports everything down to `runs`, whose results are pairs too.
"""
