"""Converting float models to quantized ones."""

from qat.enums import Site as Role  # noqa: F401  its older name
from qat.enums import Site as Site
from qat.graph.convert import quantize_model as quantize_model
from qat.graph.fold import merge_batch_norms as merge_batch_norms
from qat.graph.report import LayerReport as LayerReport
from qat.graph.report import Quantized as Quantized
from qat.graph.rules import LayerMatch as LayerMatch
from qat.graph.rules import QuantizerChoice as QuantizerChoice
from qat.graph.rules import Rule as Rule
from qat.graph.rules import UnmatchedRuleError as UnmatchedRuleError
