"""A training run: the loop, its state, its files and messages."""
