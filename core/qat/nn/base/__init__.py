"""Parts that quantized layers share."""
