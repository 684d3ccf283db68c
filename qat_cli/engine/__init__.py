"""Training, calibrating and measuring models."""

from qat_cli.engine.calibration import Calibration as Calibration
from qat_cli.engine.calibration import calibrate_run as calibrate_run
from qat_cli.engine.measure import Measurement as Measurement
from qat_cli.engine.measure import measure_checkpoint as measure_checkpoint
from qat_cli.engine.measure import measure_weights as measure_weights
from qat_cli.engine.memory import keep_freed_memory as keep_freed_memory
from qat_cli.engine.metrics import Metrics as Metrics
from qat_cli.engine.runs import FinishedRun as FinishedRun
from qat_cli.engine.runs import resume_run as resume_run
from qat_cli.engine.runs import start_run as start_run
