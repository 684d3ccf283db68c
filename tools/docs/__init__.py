"""The pages of the documentation, and what makes those that are generated."""
