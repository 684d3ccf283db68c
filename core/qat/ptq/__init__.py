"""Post-training quantization."""

from qat.ptq.calibration import calibration_mode as calibration_mode
