"""Costs of quantization, each script one row of the goals.

Every figure is a ratio to the float counterpart, timed side by side in one run, so that it holds on
another machine too. ``make bench`` runs all; ``python -m benchmarks.activation`` runs one.
"""
