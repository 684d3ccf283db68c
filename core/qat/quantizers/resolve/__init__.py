"""Resolvers: from declared attributes to the parts of a quantizer."""
