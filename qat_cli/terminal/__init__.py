"""Output on a terminal: console, tables, progress, paging."""
