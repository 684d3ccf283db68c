"""Reference implementation of every op, in Python."""
