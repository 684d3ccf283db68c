"""Reuse of quantized weights that have not changed since the last call."""

from qat.proxy.reuse.weight_reuse import WeightReuse as WeightReuse
