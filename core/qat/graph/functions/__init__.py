"""Functions that ``forward`` calls with weights or with several activations."""
