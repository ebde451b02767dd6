"""Routing held against a real ingress-nginx, recorded."""
