"""Post-training quantization."""

from qat.ptq.bias_correction import bias_correction_mode as bias_correction_mode
from qat.ptq.calibration import calibration_mode as calibration_mode
from qat.ptq.methods import STEPS as STEPS
from qat.ptq.pipeline import run_steps as run_steps
from qat.ptq.step import Step as Step
from qat.ptq.step import StepReport as StepReport
