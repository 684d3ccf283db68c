"""A quantized network as a program, which every writer of files reads.

Its meaning is exact: an operation on integers gives the sum in integers, and what becomes of a real
number on a grid is the integer nearest to it, ties to even, whatever numbers compute it. Float
operations mean what torch computes in float32.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from qat.formats import IntFormat
from qat.granularity import Granularity


@dataclass(frozen=True, eq=False)
class IntParameter:
    """A parameter of a network in its integers: ``value = (integers - zero_point) * scale``.

    Args:
        name: dotted name in the model, as in its state dict.
        integers: on the grid of ``format``; shape of the float parameter.
        format: of the integers.
        scale: float, > 0, broadcastable to ``integers``.
        zero_point: integer-valued float, broadcastable to ``integers``.
        granularity: how many integers share a scale.
    """

    name: str
    integers: Tensor
    format: IntFormat
    scale: Tensor
    zero_point: Tensor
    granularity: Granularity

    @property
    def value(self) -> Tensor:
        """The reals that the network computes with, in the type of ``scale``."""
        return (self.integers.to(self.scale.dtype) - self.zero_point) * self.scale


@dataclass(frozen=True)
class FloatPart:
    """A parameter that stays in float, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the numbers of a value lie: ``(q - zero_point) * scale`` with ``q`` of ``format``.

    Args:
        format: of the integers. A binary one has -1 and +1 alone.
        scale: float32, > 0; 0-dimensional.
        zero_point: 0 unless the grid is not around 0.
    """

    format: IntFormat
    scale: Tensor
    zero_point: int = 0


@dataclass(frozen=True, eq=False)
class Value:
    """What an operation gives, or the program is given.

    Args:
        name: unique in the program; a word of letters, digits and underscores.
        shape: for the example that was traced; the first dimension is the batch.
        grid: None for real numbers.
        open_dims: the dimensions whose size follows from that of the batch.
        dtype: float32, or what a float operation gives else, such as a mask.
    """

    name: str
    shape: tuple[int, ...]
    grid: Grid | None = None
    open_dims: tuple[int, ...] = (0,)
    dtype: torch.dtype = torch.float32


class Kind(enum.Enum):
    """What an operation does; ``settings`` of :class:`Operation` by kind.

    ``QUANTIZE``: real numbers come onto the grid of the output; ``quantizer``, the dotted name of
    the proxy, where one does it; ``low`` and ``high``, the ends of the integers where they are not
    those of the format, since a clamp was in front.
    ``CONVOLUTION``: ``stride``, ``padding``, ``dilation`` (one number per dimension each),
    ``groups``; ``transposed`` and ``output_padding`` where it is transposed. Weight
    [out, in / groups, *kernel], transposed [in, out / groups, *kernel]. Padding is of real zeros.
    ``LINEAR``: weight [out, in], over the last dimension.
    ``RELU``: ``max(x, 0)``. ``CLIP``: ``low``, ``high``. ``ADD``: two values of one shape or
    broadcast.
    ``MAX_POOL``: ``kernel``, ``stride``, ``padding``, ``dilation``, ``ceil``.
    ``AVERAGE_POOL``: ``kernel``, ``stride``, ``padding``, ``ceil``, ``count_padding``.
    ``GLOBAL_POOL``: the mean over all dimensions behind the channels, which stay as 1.
    ``FLATTEN``: all dimensions from ``start`` on become one.
    ``CONCATENATE``: along ``axis``.
    ``AFFINE``: ``factor`` and ``shift``, float64 [channels] each, of dimension 1: a batch norm.
    ``FLOAT``: any other operation: ``target`` with ``args`` and ``kwargs``, in which
    :class:`Reference` and :class:`BatchOf` stand for values and tensors are constants.
    """

    QUANTIZE = "quantize"
    CONVOLUTION = "convolution"
    LINEAR = "linear"
    RELU = "relu"
    CLIP = "clip"
    ADD = "add"
    MAX_POOL = "max_pool"
    AVERAGE_POOL = "average_pool"
    GLOBAL_POOL = "global_pool"
    FLATTEN = "flatten"
    CONCATENATE = "concatenate"
    AFFINE = "affine"
    FLOAT = "float"


#: The result is on the grid of the first input, where that has one: only elements move.
KEEP_GRID = frozenset({Kind.MAX_POOL, Kind.FLATTEN})


@dataclass(frozen=True)
class Reference:
    """A value among the arguments of a float operation."""

    name: str


@dataclass(frozen=True)
class BatchOf:
    """The size of a value's first dimension among the arguments of a float operation."""

    name: str


def filled(given: Any, tensor: Any) -> Any:
    """Arguments of a float operation with ``tensor(name)`` in the place of references."""
    if isinstance(given, Reference):
        return tensor(given.name)
    if isinstance(given, BatchOf):
        return tensor(given.name).shape[0]
    if isinstance(given, (tuple, list)):
        return type(given)(filled(each, tensor) for each in given)
    if isinstance(given, dict):
        return {name: filled(each, tensor) for name, each in given.items()}
    return given


@dataclass(frozen=True, eq=False)
class Operation:
    """One step of a program.

    Args:
        kind: what it does.
        layer: dotted name of the module in the model that it was traced in; may be empty.
        inputs: names of values, in the order of the arguments.
        output: name of the value that it gives.
        settings: see :class:`Kind`.
        weight: of a convolution or linear operation: integers where it has a quantizer.
        bias: real numbers, float64 [channels].
        bias_integers: int64 [channels], the bias that is computed with, in steps of
            ``input scale * weight scale / 2**shift``. Set where input and weight are integers.
        shift: from 0; the accumulator sums ``weight * 2**shift``, so that the bias is as fine.
    """

    kind: Kind
    layer: str
    inputs: tuple[str, ...]
    output: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weight: IntParameter | Tensor | None = None
    bias: Tensor | None = None
    bias_integers: Tensor | None = None
    shift: int = 0

    def changed(self, **fields: Any) -> Operation:
        """The operation with other fields."""
        return replace(self, **fields)


@dataclass(frozen=True, eq=False)
class Program:
    """Operations in the order in which they run.

    Args:
        operations: each reads values that are given or come before it.
        values: by name.
        inputs, outputs: names of values; real numbers.
    """

    operations: tuple[Operation, ...]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def readers(self) -> dict[str, list[Operation]]:
        """The operations that read each value."""
        found: dict[str, list[Operation]] = {name: [] for name in self.values}
        for operation in self.operations:
            for name in dict.fromkeys(operation.inputs):
                found[name].append(operation)
        return found

    def makers(self) -> dict[str, Operation]:
        """The operation that gives each value."""
        return {operation.output: operation for operation in self.operations}

    def ends(self, operation: Operation) -> tuple[int, int]:
        """The least and the largest integer that a quantization gives."""
        grid = self.values[operation.output].grid
        assert grid is not None
        low, high = grid.format.min_value, grid.format.max_value
        return operation.settings.get("low", low), operation.settings.get("high", high)

    def computes_integers(self, operation: Operation) -> bool:
        """Whether a convolution or linear operation multiplies integers."""
        if not isinstance(operation.weight, IntParameter):
            return False
        return self.values[operation.inputs[0]].grid is not None


def weight_scales(weight: IntParameter, channels: int) -> Tensor:
    """The scale of each output channel, float32 [channels].

    Raises:
        ValueError: scales differ inside of a channel.
    """
    scale = weight.scale.detach().float()
    if scale.numel() == 1:
        return scale.reshape(1).expand(channels).clone()
    if scale.numel() != channels:
        raise ValueError(
            f"{weight.name} has {scale.numel()} scales for {channels} output channels: scales that "
            f"differ inside of a channel have no place in one integer sum."
        )
    return scale.reshape(-1).to(torch.float32)
