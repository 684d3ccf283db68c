"""Wanted differences between our numbers and those of Brevitas.

``tests/oracle`` compares everything else; ``porting.md`` lists these.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Wanted:
    """A difference that we want.

    Args:
        names: of quantizers, as for file names: ``*ActPerTensor*``; several apart by spaces.
        quantities: of which cases and quantities: ``*|batch 1: scale``; likewise.
        reason: why, for the page.
    """

    names: str
    quantities: str
    reason: str

    def covers(self, key: str) -> bool:
        """Whether ``name|case|quantity`` is one of these."""
        name, _, quantity = key.partition("|")
        return _fits(name, self.names.split()) and _fits(quantity, self.quantities.split("; "))


def _fits(text: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


WANTED = [
    Wanted(
        "*Act*",
        "*state *.buffer; *state *.counter; *state *.running_stats",
        "The statistics collected so far are part of the state dict. Brevitas drops them, or has "
        "them under another key.",
    ),
    Wanted(
        "*Act*",
        "*batch [123]: gradient of x",
        "While an activation quantizer collects statistics, its scale hands no gradient to the "
        "batch it was observed on. Brevitas passes it to the element that is the percentile.",
    ),
    Wanted(
        "*Act*FixedPoint*",
        "*batch [123]: *",
        "A power-of-two scale of an activation is one from the first batch on, so that training "
        "sees the grid of evaluation. Brevitas leaves it unrestricted while it collects.",
    ),
    Wanted(
        "*BatchQuant*",
        "*affine_weight; *gradient of x",
        "The scale is a learned multiple of the batch's statistic, as in the paper, and hands no "
        "gradient to the batch. In Brevitas the multiple is declared, but not built.",
    ),
    Wanted(
        "SignedBinaryWeight*",
        "*|x",
        "Quantizing leaves the parameter as it is. Brevitas clips a binary weight in place.",
    ),
    Wanted(
        "*MSE",
        "*",
        "The threshold of least squared error is searched over the whole range, then around the "
        "best. Brevitas takes ten steps of a Fibonacci search, which may end in a local minimum.",
    ),
    Wanted(
        "ShiftedUint8ActPerTensorFloatHQO ShiftedUint8WeightPerChannelFloatHQO",
        "*zero_point_impl.value; *value; *zero point; *gradient of *",
        "A half-quadratic search starts anew with every batch, and keeps the best result of each "
        "channel. In Brevitas it goes on with the weights of the batch before, and stops for all "
        "channels at the first result that is no better on average.",
    ),
    Wanted(
        "Fp* MXFloat*",
        "*gradient of *",
        "The gradient of a minifloat is that of the identity within its range, and its scale "
        "gets what is left. In Brevitas it also flows through the logarithm that finds the step, "
        "which multiplies it by y / x and leaves nothing to the scale.",
    ),
    Wanted(
        "MXInt8* ShiftedMXUInt8*",
        "*scale; *value; *zero point; *gradient of x",
        "The scale of an MX block of integers follows the OCP specification: the power of two of "
        "the largest magnitude, times 2^-6. In Brevitas it is half of that, and clips.",
    ),
    Wanted(
        "Int8WeightPerChannelFloatDecoupled Int8WeightNormL2* Int8AccumulatorAware*",
        "a channel of zeros|*; one element|*",
        "A channel of zeros is quantized to zeros, and so is one that its own mean is taken from. "
        "In Brevitas to NaN.",
    ),
    Wanted(
        "Int8AccumulatorAwareWeightQuant",
        "*|value",
        "Rounding towards zero decides by the last bit of a division whose exact result is an "
        "integer; the largest weights of a channel stay at the end of the grid. In Brevitas some "
        "fall one step short.",
    ),
    Wanted(
        "ShiftRoundSaturateTo8bit",
        "*training: *; *trunc_scaling_impl.*",
        "The shift is a power of two from the first batch on, and learned; statistics and "
        "parameter are in the state dict.",
    ),
    Wanted(
        "Int8WeightNormL2* Int8AccumulatorAware*",
        "*pre_scaling_impl.*; *tensor_quant.scaling_impl.value",
        "With a learned weight norm there is one scale, in front of the rounding and behind it, as "
        "in the paper; norm and threshold are learned and kept as their logarithms. Brevitas "
        "builds two parameters that start alike and drift apart, of the scale in place of the "
        "threshold.",
    ),
]
