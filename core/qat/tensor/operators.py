"""Python's operators for quantized tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qat.tensor.dispatch import Quantized, apply, plain


class Operators(Quantized):
    """Operators as the torch functions of their names; those that no grid survives are plain."""

    def __neg__(self) -> Any:
        return apply(torch.neg, (self,), {})

    def __pos__(self) -> Any:
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

    def __rfloordiv__(self, other: Any) -> Tensor:
        return plain(other) // self.value

    def __rmod__(self, other: Any) -> Tensor:
        return plain(other) % self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else repr(self)

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
