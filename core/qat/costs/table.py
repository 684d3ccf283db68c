"""Figures of a model's costs, and the sums of them.

MACs are the multiplications of convolutions and matrix products, each with the addition behind it.
Bit operations are ``MACs x bits of one factor x bits of the other``, with 32 bits for a float: what
a multiplier built from single bits would do. This is the leading term of the count of Baskin et al.
2018, arXiv:1804.10969, which van Baalen et al. 2020, arXiv:2005.07093, use by itself.

The packed size is what has to be kept for inference: weights at their bits, their scales and zero
points, biases, batch norms with their statistics. A ternary weight counts 2 bits, which is how it
lies on its grid; log2(3) would need several weights in one code. Sizes are in bits, as four
binary weights are half a byte.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScaleRange:
    """The scales of a layer's weight quantizers: how many, the smallest, the largest."""

    count: int
    low: float
    high: float


@dataclass(frozen=True)
class LayerCost:
    """One layer.

    Args:
        name: dotted name in the model; ``""`` for what the model computes outside of its layers.
        kind: class of the module.
        weight_bits: bits of a weight, on average over them; ``None`` where there are none.
        input_bits: bits of what weights are multiplied with, or of the factors of a product without
            weights; the widest where they differ. ``None`` where nothing is multiplied.
        parameters: how many, those of quantizers left out.
        packed_bits: see the module docstring.
        float_bits: the same as a float layer.
        macs: for the example.
        bit_operations: for the example.
        scales: of the weight quantizers; ``None`` without one that has its own.
    """

    name: str
    kind: str
    weight_bits: float | None
    input_bits: float | None
    parameters: int
    packed_bits: float
    float_bits: float
    macs: int
    bit_operations: float
    scales: ScaleRange | None = None


@dataclass(frozen=True)
class NotCounted:
    """An operation that has no MACs by the definition above, and how much of it there was."""

    operation: str
    calls: int
    elements: int


@dataclass(frozen=True)
class Costs:
    """All layers in the order in which they first run, and the totals.

    Args:
        layers: with parameters, quantizers or MACs.
        not_counted: other operations of the model, the most elements first.
        not_reached: layers with parameters that the example did not run through.
    """

    layers: list[LayerCost]
    not_counted: list[NotCounted]
    not_reached: list[str]

    @property
    def parameters(self) -> int:
        """Parameters of the model, those of quantizers left out."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for the example."""
        return sum(layer.macs for layer in self.layers)

    @property
    def bit_operations(self) -> float:
        """Bit operations for the example."""
        return sum(layer.bit_operations for layer in self.layers)

    @property
    def float_bit_operations(self) -> int:
        """Bit operations of the same products between floats of 32 bits."""
        return self.macs * 32 * 32

    @property
    def packed_bytes(self) -> float:
        """Bytes kept for inference."""
        return sum(layer.packed_bits for layer in self.layers) / 8

    @property
    def float_bytes(self) -> float:
        """Bytes of the float model, kept for inference."""
        return sum(layer.float_bits for layer in self.layers) / 8

    @property
    def compression(self) -> float:
        """How many times the float model is larger."""
        return self.float_bytes / max(self.packed_bytes, 1e-9)
