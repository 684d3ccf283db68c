"""Training shared by several processes."""
