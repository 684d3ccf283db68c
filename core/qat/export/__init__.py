"""Export: a trained network as a file for other programs."""

from qat.export.packed import Packed as Packed
from qat.export.packed import read_packed as read_packed
from qat.export.program import FloatPart as FloatPart
from qat.export.program import IntParameter as IntParameter
from qat.export.read import read_weights as read_weights
from qat.export.targets import TARGETS as TARGETS
from qat.export.targets import Target as Target
from qat.export.targets import export as export
