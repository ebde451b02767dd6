"""YAML text to model values, every problem with its position."""
