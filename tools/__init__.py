"""Scripts that make pages of docs/ from the code."""
