"""Images in memory or in files, decoded in time."""
