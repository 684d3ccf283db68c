"""The command line itself: groups, help, shared options, completion, processes."""
