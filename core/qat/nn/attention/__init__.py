"""Quantized attention."""
