"""The files of a run."""

from qat_cli.report.confusion import write_confusion as write_confusion
from qat_cli.report.curves import write_curves as write_curves
from qat_cli.report.documents import finite as finite
from qat_cli.report.documents import write_recipe as write_recipe
from qat_cli.report.documents import write_summary as write_summary
from qat_cli.report.history import Row as Row
from qat_cli.report.history import write_metrics as write_metrics
from qat_cli.report.loggers import Loggers as Loggers
from qat_cli.report.run_folder import RunFolder as RunFolder
from qat_cli.report.run_folder import create_run_folder as create_run_folder
from qat_cli.report.run_folder import discarded_on_failure as discarded_on_failure
from qat_cli.report.run_folder import find_run_folder as find_run_folder
from qat_cli.report.run_folder import has_run as has_run
from qat_cli.report.run_folder import run_folder_of as run_folder_of
from qat_cli.report.run_log import RunLog as RunLog
from qat_cli.report.summary import Metrics as Metrics
from qat_cli.report.summary import RunSummary as RunSummary
from qat_cli.report.summary import read_summary as read_summary
