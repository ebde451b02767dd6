"""Admission webhooks: others are asked before a client's change is stored."""
