"""Kubernetes controllers as pure functions: observed objects in, wanted changes out."""
