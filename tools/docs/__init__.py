"""Generators of the documentation's pages, and the texts in them."""
