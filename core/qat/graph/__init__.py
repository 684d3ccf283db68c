"""Converting float models to quantized ones."""

from .batch_norms import merge_batch_norms as merge_batch_norms
from .convert import quantize_model as quantize_model
from .report import LayerReport as LayerReport
from .report import Quantized as Quantized
from .rules import LayerMatch as LayerMatch
from .rules import QuantizerChoice as QuantizerChoice
from .rules import Role as Role
from .rules import Rule as Rule
from .rules import UnmatchedRuleError as UnmatchedRuleError
