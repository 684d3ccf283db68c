"""What quantization costs, each script measuring one row of the table of goals.

Every figure is a ratio to the float counterpart, timed side by side in one run, so that it holds on
another machine too. ``make bench`` runs all; ``python -m benchmarks.activation`` runs one.
"""
