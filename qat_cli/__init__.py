"""The ``qat`` command: train, calibrate and evaluate quantized neural networks."""
