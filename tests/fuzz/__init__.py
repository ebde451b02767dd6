"""Bad input for the embedded ingress, made by chance: `python -m tests.fuzz [--requests N] [--seed N]`.

`make test` runs a bounded sample with a fixed seed (`test_fuzz.py`); the whole is 50,000 requests and more.
"""
