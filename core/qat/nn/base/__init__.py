"""Common parts of quantized layers."""
