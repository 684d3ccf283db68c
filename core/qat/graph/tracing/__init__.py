"""From a model in Python to its graph."""
