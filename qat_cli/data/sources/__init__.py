"""Data sets by name: a file for each, with its entry and its loader."""
