"""Results for others: model cards, repositories on the Hub, and jobs on rented hardware.

It imports everything down to `runs`.
"""
