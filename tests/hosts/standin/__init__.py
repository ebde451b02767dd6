"""Builds the stand-in k3s (README.md)."""
