"""What a model costs: bits, bytes, multiplications, bit operations, layer by layer."""

from qat_cli.engine.costs.measure import measure_costs as measure_costs
from qat_cli.engine.costs.table import Costs as Costs
from qat_cli.engine.costs.table import LayerCost as LayerCost
from qat_cli.engine.costs.table import NotCounted as NotCounted
from qat_cli.engine.costs.table import ScaleRange as ScaleRange
