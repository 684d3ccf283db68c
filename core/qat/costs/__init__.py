"""Costs of a model, layer by layer: bits, bytes, multiplications, bit operations."""

from qat.costs.measure import measure_costs as measure_costs
from qat.costs.table import Costs as Costs
from qat.costs.table import LayerCost as LayerCost
from qat.costs.table import NotCounted as NotCounted
from qat.costs.table import ScaleRange as ScaleRange
