"""Training, calibrating and measuring models."""

from qat_cli.engine.calibration import Calibration as Calibration
from qat_cli.engine.calibration import calibrate_run as calibrate_run
from qat_cli.engine.costs import Costs as Costs
from qat_cli.engine.costs import LayerCost as LayerCost
from qat_cli.engine.dry_run import DryRun as DryRun
from qat_cli.engine.dry_run import StepFigures as StepFigures
from qat_cli.engine.dry_run import dry_calibrate as dry_calibrate
from qat_cli.engine.dry_run import dry_train as dry_train
from qat_cli.engine.inspection import Inspection as Inspection
from qat_cli.engine.inspection import inspect_checkpoint as inspect_checkpoint
from qat_cli.engine.inspection import inspect_recipe as inspect_recipe
from qat_cli.engine.measure import Measurement as Measurement
from qat_cli.engine.measure import measure_checkpoint as measure_checkpoint
from qat_cli.engine.measure import measure_weights as measure_weights
from qat_cli.engine.memory import keep_freed_memory as keep_freed_memory
from qat_cli.engine.metrics import Metrics as Metrics
from qat_cli.engine.runs import FinishedRun as FinishedRun
from qat_cli.engine.runs import resume_run as resume_run
from qat_cli.engine.runs import start_run as start_run
