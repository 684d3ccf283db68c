"""``QuantTensor``: a tensor of reals that knows the grid it lies on."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from qat.formats import FloatFormat, Format, IntFormat
from qat.tensor.checks import as_bits, as_flag, as_format, as_metadata, flag_tensor, integer_dtype
from qat.tensor.dispatch import apply, plain
from qat.tensor.grid import bounds, integers, is_on_float_grid, is_on_grid
from qat.tensor.kind import GridKind, kind_of
from qat.tensor.operators import Operators

# the class has methods of these names, which hide the types inside its body
Int = builtins.int
Float = builtins.float

AFFINE_FIELDS = ("scale", "zero_point", "bit_width", "signed")
FIELDS = ("value", *AFFINE_FIELDS, "training", "format")
#: Those that make another format when they are set.
GRID_FIELDS = frozenset({"bit_width", "signed", "format"})


class QuantTensor(Operators):
    """A tensor with its integer grid: ``value = (q - zero_point) * scale``, ``qmin <= q <= qmax``.

    Or with a grid of minifloats, ``value = f * scale`` with ``f`` a number of ``format``: it goes
    through whatever moves, selects or joins elements, while sums and products of it are plain.

    It is passed where a tensor would be. Functions of torch that keep values on a grid (they move
    elements, or add or multiply integers) give another ``QuantTensor``; every other one gives the
    plain tensor that it computes from ``value``. A method or attribute of ``torch.Tensor`` that is
    not listed here does the same.

    Args:
        value: floating point, any shape: the dequantized reals.
        scale: float, > 0, broadcastable to ``value``: real width of one step; negative where the
            quantizer keeps its sign, which mirrors the grid.
        zero_point: integer-valued float, broadcastable to ``value``: the integer that 0.0 maps to.
        bit_width: float, >= 1, broadcastable to ``value``: a signed grid goes from ``-2**(b-1)`` to
            ``2**(b-1) - 1``, an unsigned one from 0 to ``2**b - 1``, and a signed one of one bit is
            -1 and +1.
        signed: whether the integers have a sign; a bool, or a tensor holding one, which is read at
            once (code that is compiled gives a bool).
        training: whether the quantizer was training; as ``signed``.
        format: a :class:`qat.formats.FloatFormat` for minifloats, whose zero point is 0; an
            :class:`qat.formats.IntFormat`, or nothing, for integers. Bit width and sign follow from
            it where they are not given.

        Each but ``value`` may be None, which says that it is not known. Plain numbers become
        0-dimensional tensors of the dtype and device of ``value`` (float32, where a half type
        cannot hold the integer).
    Raises:
        TypeError: an argument is of another kind.
        ValueError: a scale, zero point or bit width does not broadcast to ``value``, or format, bit
            width and sign contradict each other.
    Gradient: flows through ``value``, and through ``scale`` and ``bit_width`` where they are
    learned.
    Source: Jacob et al. 2018, arXiv:1712.05877, eq. 1.
    """

    def __init__(
        self,
        value: Tensor,
        scale: Tensor | Float | None = None,
        zero_point: Tensor | Float | None = None,
        bit_width: Tensor | Float | None = None,
        signed: Tensor | bool | None = None,
        training: Tensor | bool | None = None,
        format: Format | None = None,
    ) -> None:
        bit_width = as_bits(bit_width, as_format(format))
        kind = kind_of(format, as_flag("signed", signed))
        self._fill(value, scale, zero_point, bit_width, kind, as_flag("training", training))

    def _fill(
        self,
        value: Any,
        scale: Any,
        zero_point: Any,
        bit_width: Any,
        kind: GridKind,
        training: bool | None,
    ) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"value must be a torch.Tensor, not {type(value).__name__}.")
        self.value = value
        self.scale = as_metadata("scale", scale, value)
        self.zero_point = as_metadata("zero_point", zero_point, value)
        self.bit_width = as_metadata("bit_width", bit_width, value)
        self.kind, self.training = kind, training

    @classmethod
    def of_quantizer(cls, made: tuple[Any, ...], kind: GridKind, training: bool) -> QuantTensor:
        """``(value, scale, zero_point, bit_width)`` of a quantizer: tensors, taken unchecked."""
        tensor = cls.__new__(cls)
        tensor.value, tensor.scale, tensor.zero_point, tensor.bit_width = made
        tensor.kind, tensor.training = kind, training
        return tensor

    # the grid

    @property
    def signed(self) -> Any:
        """Whether the numbers of the grid have a sign: a bool, or None where it is not known."""
        return self.kind.signed

    @property
    def float_format(self) -> FloatFormat | None:
        """The format of minifloats; None for integers. Reads no tensor."""
        return self.kind.float_format

    @property
    def format(self) -> Format | None:
        """The numbers of the grid, :class:`qat.formats.IntFormat` or ``FloatFormat``.

        The widest where bit widths differ, as after joining; ``narrow`` where the quantizer is and
        the integers are still its own. None where bit width or sign are not known. Reads the bit
        width: not for code that is compiled, which asks for ``float_format``.
        """
        return self.kind.with_bits(self.bit_width)

    @property
    def signed_t(self) -> Tensor | None:
        """``signed`` as a 0-dimensional bool tensor, or None where it is not known."""
        return flag_tensor(self.signed, self.value)

    @property
    def training_t(self) -> Tensor | None:
        """``training`` as a 0-dimensional bool tensor, or None where it is not known."""
        return flag_tensor(self.training, self.value)

    @property
    def missing(self) -> list[str]:
        """Names of those fields that are None and without which there is no grid."""
        return [name for name in AFFINE_FIELDS if getattr(self, name) is None]

    @property
    def is_valid(self) -> bool:
        """Whether nothing is missing and every value is on the grid, to the precision of its dtype.

        Never raises. Reads the values: not for code that is compiled.
        """
        if self.missing or not self.value.dtype.is_floating_point:
            return False
        if self.float_format is not None:
            return is_on_float_grid(self.value, self.scale, self.float_format)
        return is_on_grid(self.value, self.scale, self.zero_point, self.bit_width, self.signed)

    def int(self) -> Tensor:
        """The integers on the grid: ``q = clamp(round(value / scale + zero_point), qmin, qmax)``.

        Returns:
            The shape of ``value``; int8 or uint8 up to 8 bits, int32 up to 32, else int64. While a
            graph is compiled or exported, where neither widths nor values are known: int32, and
            nothing but missing metadata is refused.
        Raises:
            ValueError: metadata is missing, the values are not on the grid, or it is one of
                minifloats.
        Gradient: none.
        """
        if self.float_format is not None:
            raise ValueError(
                f"the values are minifloats of the format {self.float_format.name} times the "
                f"scale, not integers: use .value / .scale for the minifloats, or .value."
            )
        if self.missing:
            raise ValueError(
                f"the integers of a QuantTensor are undefined without {', '.join(self.missing)}: "
                "give the quantizer that made it these attributes, or set them with "
                f".set({self.missing[0]}=...)."
            )
        compiling = torch.compiler.is_compiling()
        if not compiling and not self.is_valid:
            raise ValueError(
                "the values are not on the grid of scale, zero_point, bit_width "
                f"{self.bit_width.tolist()} and signed {self.signed}: quantize again, "
                "or use .value."
            )
        dtype = torch.int32 if compiling else integer_dtype(self.bit_width, self.signed)
        low, high = bounds(self.bit_width, self.signed)
        q = integers(self.value.detach(), self.scale.detach(), self.zero_point.detach()).round()
        return torch.minimum(torch.maximum(q, low.detach()), high.detach()).to(dtype)

    def set(self, **fields: Any) -> QuantTensor:
        """A copy that shares all fields but those given.

        Raises:
            TypeError: a name is no field.
        """
        unknown = [name for name in fields if name not in FIELDS]
        if unknown:
            raise TypeError(
                f"QuantTensor has no field {', '.join(unknown)}; known: {', '.join(FIELDS)}."
            )
        kind, bit_width = self.kind, fields.get("bit_width", self.bit_width)
        if not GRID_FIELDS.isdisjoint(fields):
            format, signed = as_format(fields.get("format", kind.float_format)), kind.signed
            if isinstance(format, IntFormat):  # says both
                bit_width, signed = fields.get("bit_width"), None
            bit_width = as_bits(bit_width, format)
            kind = kind_of(format, as_flag("signed", fields.get("signed", signed)))
        return self._with(kind, {**fields, "bit_width": bit_width})

    def on_same_grid(self, **fields: Any) -> QuantTensor:
        """A copy with tensors that hold the same numbers as before, arranged in another way."""
        return self._with(self.kind, fields)

    def _with(self, kind: GridKind, fields: dict[str, Any]) -> QuantTensor:
        changed = QuantTensor.__new__(QuantTensor)
        changed._fill(
            fields.get("value", self.value),
            fields.get("scale", self.scale),
            fields.get("zero_point", self.zero_point),
            fields.get("bit_width", self.bit_width),
            kind,
            as_flag("training", fields.get("training", self.training)),
        )
        return changed

    def __repr__(self) -> str:
        float_format = "" if self.float_format is None else f", format={self.float_format!r}"
        return (
            f"QuantTensor(value={self.value!r}, scale={self.scale!r}, "
            f"zero_point={self.zero_point!r}, bit_width={self.bit_width!r}, "
            f"signed_t={self.signed_t!r}, training_t={self.training_t!r}{float_format})"
        )

    # what a tensor says of itself

    @property
    def shape(self) -> torch.Size:
        """Shape of ``value``."""
        return self.value.shape

    @property
    def ndim(self) -> Int:
        """Number of dimensions."""
        return self.value.dim()

    @property
    def dtype(self) -> torch.dtype:
        """Type of ``value``."""
        return self.value.dtype

    @property
    def device(self) -> torch.device:
        """Where ``value`` lies."""
        return self.value.device

    @property
    def requires_grad(self) -> bool:
        """Whether ``value`` takes part in autograd."""
        return self.value.requires_grad

    @property
    def T(self) -> QuantTensor:
        """The dimensions in reverse order."""
        return self.permute([self.ndim - 1 - dim for dim in range(self.ndim)])

    @property
    def mT(self) -> QuantTensor:
        """The last two dimensions exchanged."""
        return self.transpose(-2, -1)

    def size(self, *args: Any, **kwargs: Any) -> Any:
        """Shape of ``value``, or its length in the dimension given."""
        return self.value.size(*args, **kwargs)

    def dim(self) -> Int:
        """Number of dimensions."""
        return self.value.dim()

    def numel(self) -> Int:
        """Number of elements."""
        return self.value.numel()

    def __len__(self) -> Int:
        return len(self.value)

    def __contains__(self, item: Any) -> bool:
        return plain(item) in self.value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> Int:
        return builtins.int(self.value)

    def __float__(self) -> Float:
        return builtins.float(self.value)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.value.__array__(*args, **kwargs)

    # dtype and device

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """As ``torch.Tensor.to``, for value and metadata; a type that is not floating point gives a
        plain tensor. A value widened from a half type keeps its errors and may not be valid."""
        return apply(torch.Tensor.to, (self, *args), kwargs)

    def half(self) -> QuantTensor:
        """To float16."""
        return self.to(torch.float16)

    def bfloat16(self) -> QuantTensor:
        """To bfloat16."""
        return self.to(torch.bfloat16)

    def float(self) -> QuantTensor:
        """To float32."""
        return self.to(torch.float32)

    def double(self) -> QuantTensor:
        """To float64."""
        return self.to(torch.float64)

    def cpu(self) -> QuantTensor:
        """To the memory of the processor."""
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> QuantTensor:
        """To a GPU, the current one if none is named."""
        return self.to(torch.device("cuda", device) if isinstance(device, Int) else device)

    # moving elements; more of these are found by __getattr__

    def view(self, *shape: Any) -> QuantTensor:
        """As ``torch.Tensor.view``."""
        return apply(torch.Tensor.view, (self, *shape), {})

    def reshape(self, *shape: Any) -> QuantTensor:
        """As ``torch.Tensor.reshape``."""
        return apply(torch.Tensor.reshape, (self, *shape), {})

    def flatten(self, start_dim: Int = 0, end_dim: Int = -1) -> QuantTensor:
        """As ``torch.flatten``."""
        return apply(torch.flatten, (self, start_dim, end_dim), {})

    def transpose(self, dim0: Int, dim1: Int) -> QuantTensor:
        """As ``torch.transpose``."""
        return apply(torch.transpose, (self, dim0, dim1), {})

    def permute(self, *dims: Any) -> QuantTensor:
        """As ``torch.Tensor.permute``."""
        return apply(torch.Tensor.permute, (self, *dims), {})

    def detach(self) -> QuantTensor:
        """Value and metadata without their autograd history."""
        return apply(torch.Tensor.detach, (self,), {})

    def __getitem__(self, index: Any) -> QuantTensor:
        return apply(torch.Tensor.__getitem__, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        apply(torch.Tensor.__setitem__, (self, index, value), {})

    def __iter__(self) -> Iterator[QuantTensor]:
        return iter(apply(torch.unbind, (self, 0), {}))

    # everything else

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return apply(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS or name.startswith("__") or not hasattr(Tensor, name):
            raise AttributeError(f"'QuantTensor' object has no attribute {name!r}")
        attribute = getattr(Tensor, name)
        if not callable(attribute):
            return getattr(self.value, name)
        return partial(_call_method, attribute, self)


def _call_method(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return apply(method, args, kwargs)


def unwrap(x: Tensor | QuantTensor) -> Tensor:
    """The plain tensor of what flows between layers."""
    return x.value if isinstance(x, QuantTensor) else x
