"""One optimizer step and all that it is made of."""
