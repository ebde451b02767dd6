"""A small POSIX shell for containers' commands and `kubectl exec`: what it does not know it says, it never pretends."""
