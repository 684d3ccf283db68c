"""Post-training quantization."""

from .calibration import calibration_mode as calibration_mode
