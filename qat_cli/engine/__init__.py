"""Training, calibrating and measuring models."""

from qat.costs import Costs as Costs
from qat.costs import LayerCost as LayerCost
from qat_cli.engine.evaluation.measure import Measurement as Measurement
from qat_cli.engine.evaluation.measure import measure_checkpoint as measure_checkpoint
from qat_cli.engine.evaluation.measure import measure_weights as measure_weights
from qat_cli.engine.evaluation.metrics import Metrics as Metrics
from qat_cli.engine.machine.allocator import keep_freed_memory as keep_freed_memory
from qat_cli.engine.tasks.calibrate import Calibration as Calibration
from qat_cli.engine.tasks.calibrate import calibrate_run as calibrate_run
from qat_cli.engine.tasks.dry_run import DryRun as DryRun
from qat_cli.engine.tasks.dry_run import StepFigures as StepFigures
from qat_cli.engine.tasks.dry_run import dry_calibrate as dry_calibrate
from qat_cli.engine.tasks.dry_run import dry_train as dry_train
from qat_cli.engine.tasks.export import Proven as Proven
from qat_cli.engine.tasks.export import export_checkpoint as export_checkpoint
from qat_cli.engine.tasks.export import verify_checkpoint as verify_checkpoint
from qat_cli.engine.tasks.inspect import Inspection as Inspection
from qat_cli.engine.tasks.inspect import inspect_checkpoint as inspect_checkpoint
from qat_cli.engine.tasks.inspect import inspect_recipe as inspect_recipe
from qat_cli.engine.tasks.resume import resume_run as resume_run
from qat_cli.engine.tasks.train import FinishedRun as FinishedRun
from qat_cli.engine.tasks.train import start_run as start_run
