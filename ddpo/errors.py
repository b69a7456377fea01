"""What goes wrong because of the input, in a sentence for the person who gave it."""


class UserError(ValueError):
    """Bad input. The message is one clear sentence that says what is wrong and what to do; it is shown as it is."""
