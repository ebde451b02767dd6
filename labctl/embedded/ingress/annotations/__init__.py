"""Annotations of an Ingress: the catalogue, their validation, and what they mean."""
