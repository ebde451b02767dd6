"""Fields of objects as sets: structured-merge-diff, on which managedFields and server-side apply stand.

Source: sigs.k8s.io/structured-merge-diff v6.
"""
