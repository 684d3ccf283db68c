"""Data sets by name, a file for each.

A file has the entry of its set and the loader.
"""
