"""``QuantTensor``: a tensor of reals that knows the integer grid it lies on."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .dispatch import Quantized, apply, plain
from .grid import bounds, integers, is_on_grid

# the class has methods of these names, which hide the types inside its body
Int = builtins.int
Float = builtins.float

AFFINE_FIELDS = ("scale", "zero_point", "bit_width", "signed")
FIELDS = ("value", *AFFINE_FIELDS, "training")


class QuantTensor(Quantized):
    """A tensor with its integer grid: ``value = (q - zero_point) * scale``, ``qmin <= q <= qmax``.

    It is passed where a tensor would be. Functions of torch that keep values on a grid (they move elements, or add or
    multiply integers) give another ``QuantTensor``; every other one gives the plain tensor that it computes from
    ``value``. A method or attribute of ``torch.Tensor`` that is not listed here does the same.

    Args:
        value: floating point, any shape: the dequantized reals.
        scale: float, > 0, broadcastable to ``value``: real width of one step.
        zero_point: integer-valued float, broadcastable to ``value``: the integer that 0.0 maps to.
        bit_width: float, >= 1, broadcastable to ``value``: a signed grid goes from ``-2**(b-1)`` to ``2**(b-1) - 1``, an
            unsigned one from 0 to ``2**b - 1``, and a signed one of one bit is -1 and +1.
        signed: whether the integers have a sign; a bool, or a tensor holding one.
        training: whether the quantizer was training; a bool, or a tensor holding one.

        Each but ``value`` may be None, which says that it is not known. Plain numbers become 0-dimensional tensors of the
        dtype and device of ``value`` (float32, where a half type cannot hold the integer).
    Raises:
        TypeError: an argument is of another kind.
        ValueError: a scale, zero point or bit width does not broadcast to ``value``.
    Gradient: flows through ``value``, and through ``scale`` and ``bit_width`` where they are learned.
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
    ) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"value must be a torch.Tensor, not {type(value).__name__}.")
        self.value = value
        self.scale = _metadata("scale", scale, value)
        self.zero_point = _metadata("zero_point", zero_point, value)
        self.bit_width = _metadata("bit_width", bit_width, value)
        self.signed = _flag("signed", signed)
        self.training = _flag("training", training)

    # the grid

    @property
    def signed_t(self) -> Tensor | None:
        """``signed`` as a 0-dimensional bool tensor, or None where it is not known."""
        return _flag_tensor(self.signed, self.value)

    @property
    def training_t(self) -> Tensor | None:
        """``training`` as a 0-dimensional bool tensor, or None where it is not known."""
        return _flag_tensor(self.training, self.value)

    @property
    def missing(self) -> list[str]:
        """Names of the fields without which there is no grid: of scale, zero point, bit width and sign, those None."""
        return [name for name in AFFINE_FIELDS if getattr(self, name) is None]

    @property
    def is_valid(self) -> bool:
        """Whether all metadata is there and every value is on the grid, to the precision of its dtype; never raises."""
        if self.missing or not self.value.dtype.is_floating_point:
            return False
        return is_on_grid(self.value, self.scale, self.zero_point, self.bit_width, self.signed)

    def int(self) -> Tensor:
        """The integers on the grid: ``q = clamp(round(value / scale + zero_point), qmin, qmax)``.

        Returns:
            The shape of ``value``; int8 or uint8 up to 8 bits, int32 up to 32, else int64. While a graph is compiled or
            exported, where neither widths nor values are known: int32, and nothing but missing metadata is refused.
        Raises:
            ValueError: metadata is missing, or the values are not on the grid.
        Gradient: none.
        """
        if self.missing:
            raise ValueError(
                f"the integers of a QuantTensor are undefined without {', '.join(self.missing)}: give the quantizer "
                f"that made it these attributes, or set them with .set({self.missing[0]}=...)."
            )
        compiling = torch.compiler.is_compiling()
        if not compiling and not self.is_valid:
            raise ValueError(
                f"the values are not on the grid that scale, zero_point, bit_width ({self.bit_width.tolist()}) and "
                f"signed ({self.signed}) describe: quantize again, or use .value."
            )
        dtype = torch.int32 if compiling else _integer_dtype(self.bit_width, self.signed)
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
        current = {
            "value": self.value,
            "scale": self.scale,
            "zero_point": self.zero_point,
            "bit_width": self.bit_width,
            "signed": self.signed,
            "training": self.training,
        }
        return QuantTensor(**{**current, **fields})

    def __repr__(self) -> str:
        return (
            f"QuantTensor(value={self.value!r}, scale={self.scale!r}, "
            f"zero_point={self.zero_point!r}, bit_width={self.bit_width!r}, "
            f"signed_t={self.signed_t!r}, training_t={self.training_t!r})"
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
        return self.permute(*range(self.ndim - 1, -1, -1))

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
        """As ``torch.Tensor.to``, for value and metadata; a type that is not floating point gives a plain tensor."""
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

    # arithmetic

    def __neg__(self) -> Any:
        return apply(torch.neg, (self,), {})

    def __pos__(self) -> QuantTensor:
        return self

    def __abs__(self) -> Any:
        return apply(torch.abs, (self,), {})

    def __add__(self, other: Any) -> Any:
        return apply(torch.add, (self, other), {})

    def __radd__(self, other: Any) -> Any:
        return apply(torch.add, (self, other), {})

    def __sub__(self, other: Any) -> Any:
        return apply(torch.sub, (self, other), {})

    def __rsub__(self, other: Any) -> Any:
        return apply(torch.rsub, (self, other), {})

    def __mul__(self, other: Any) -> Any:
        return apply(torch.mul, (self, other), {})

    def __rmul__(self, other: Any) -> Any:
        return apply(torch.mul, (self, other), {})

    def __truediv__(self, other: Any) -> Any:
        return apply(torch.div, (self, other), {})

    def __rtruediv__(self, other: Any) -> Tensor:
        return plain(other) / self.value

    def __floordiv__(self, other: Any) -> Tensor:
        return self.value // plain(other)

    def __mod__(self, other: Any) -> Tensor:
        return self.value % plain(other)

    def __pow__(self, other: Any) -> Tensor:
        return self.value ** plain(other)

    def __rpow__(self, other: Any) -> Tensor:
        return plain(other) ** self.value

    def __matmul__(self, other: Any) -> Tensor:
        return self.value @ plain(other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return plain(other) @ self.value

    def __lt__(self, other: Any) -> Any:
        return self.value < plain(other)

    def __le__(self, other: Any) -> Any:
        return self.value <= plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.value > plain(other)

    def __ge__(self, other: Any) -> Any:
        return self.value >= plain(other)

    def __eq__(self, other: Any) -> Any:
        return self.value == plain(other)

    def __ne__(self, other: Any) -> Any:
        return self.value != plain(other)

    __hash__ = object.__hash__  # == compares elements, as it does for tensors

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


def _metadata(name: str, x: Any, value: Tensor) -> Any:
    if x is None:
        return None
    if isinstance(x, (Int, Float)):
        return torch.full((), x, dtype=_number_dtype(x, value.dtype), device=value.device)
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, a number or None, not {type(x).__name__}.")
    if x.numel() != 1 and torch.broadcast_shapes(x.shape, value.shape) != value.shape:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, which does not broadcast to the shape {tuple(value.shape)} of the "
            "value: give a per-channel scale one entry per channel and 1 in every other dimension."
        )
    return x


def _number_dtype(x: float, dtype: torch.dtype) -> torch.dtype:
    if not dtype.is_floating_point:
        return torch.get_default_dtype()
    exact_up_to = 2 / torch.finfo(dtype).eps
    return torch.float32 if abs(x) > exact_up_to and dtype.itemsize < 4 else dtype


def _flag(name: str, x: Any) -> bool | None:
    if x is None or isinstance(x, bool):
        return x
    if isinstance(x, Tensor) and x.numel() == 1:
        return bool(x)
    raise TypeError(f"{name} must be True, False, None or a tensor holding one bool, not {x!r}.")


def _flag_tensor(flag: bool | None, value: Tensor) -> Tensor | None:
    return None if flag is None else torch.full((), flag, dtype=torch.bool, device=value.device)


def _integer_dtype(bit_width: Tensor, signed: bool) -> torch.dtype:
    bits = float(bit_width.max()) if bit_width.numel() else 8.0
    if bits <= 8:
        return torch.int8 if signed else torch.uint8
    return torch.int32 if bits + (not signed) <= 32 else torch.int64
