"""Runs pods on the embedded nodes."""
