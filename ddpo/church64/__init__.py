"""How church-64 was made: the drawings, the pretraining, the finetuning, and the figures of its card.

It imports the engine; nothing imports it.
"""
