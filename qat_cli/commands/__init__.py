"""One file per command; heavy imports stand inside the functions, so that the help is quick."""
