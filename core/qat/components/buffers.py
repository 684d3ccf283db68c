"""Constants outside of checkpoints, and results remembered while a constant stays."""

from typing import Any, Callable, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class StatelessBuffer(nn.Module):
    """A constant that follows its module across devices and dtypes, not into its state dict.

    Calling it returns the tensor without gradient.
    """

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value, persistent=False)

    def forward(self) -> Tensor:
        return self.value.detach()


def scalar(value: float) -> StatelessBuffer:
    """A 0-dimensional float constant."""
    return StatelessBuffer(torch.tensor(float(value)))


def remembered(owner: nn.Module, constant: Tensor, compute: Callable[[], T]) -> T:
    """``compute()``, or what it gave ``owner`` the last time for the same unchanged ``constant``.

    Args:
        owner: keeps one result.
        constant: a buffer that the result follows from; another tensor in its place, as
            ``Module.to`` puts there, and a change in place are noticed.
        compute: called without argument.

    For eager code: the result is kept beside the graph that a compiler sees.
    """
    known: Any = owner.__dict__.get("_remembered")
    if known is None or known[0] is not constant or known[1] != constant._version:
        if constant.is_inference():  # without a version
            return compute()
        with torch.inference_mode(False):
            known = constant, constant._version, compute()
        owner.__dict__["_remembered"] = known
    result: T = known[2]
    return result
