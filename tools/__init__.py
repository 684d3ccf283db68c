"""Scripts that write files from the code."""
