"""Structure of the code, read from its imports and calls."""
