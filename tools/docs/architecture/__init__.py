"""The structure of the code, read from its imports and from the calls of two walks."""
