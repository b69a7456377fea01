"""Files, locks, threads, paired statistics, words for people, and facts about this machine: what every room needs.

It imports nothing of ours but `ddpo.errors`.
"""
