"""From the declared attributes of a quantizer to its parts."""
