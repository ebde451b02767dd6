"""Catalogue and plan of the labs; the labs themselves are data."""
