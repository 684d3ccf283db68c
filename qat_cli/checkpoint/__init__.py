"""Files with weights: reading what others wrote, reading and writing our own."""

from qat_cli.checkpoint.atomic import write_atomically as write_atomically
from qat_cli.checkpoint.store import FORMAT as FORMAT
from qat_cli.checkpoint.store import Checkpoint as Checkpoint
from qat_cli.checkpoint.store import library_versions as library_versions
from qat_cli.checkpoint.store import read_checkpoint as read_checkpoint
from qat_cli.checkpoint.store import write_checkpoint as write_checkpoint
from qat_cli.checkpoint.weights import QUANTIZER_MARK as QUANTIZER_MARK
from qat_cli.checkpoint.weights import WeightsFile as WeightsFile
from qat_cli.checkpoint.weights import load_weights as load_weights
from qat_cli.checkpoint.weights import named_as_in as named_as_in
from qat_cli.checkpoint.weights import read_weights as read_weights
