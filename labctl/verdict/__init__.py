"""Tally, statistics and judgement: pure functions."""
