"""Table of the ops, each declared once: schema and Python implementation.

:func:`op`, above the Python implementation of an op, adds its row to :data:`OPS`. All else follows
from the row: the function that the library calls, which chooses the implementation at each call;
the registration with torch and what TorchScript calls (:mod:`qat.ops.native.register`); the tests,
which go through the table. A new op is such a function, and where it is to be native a function of
``csrc/`` with the same schema in ``csrc/registration.cpp``.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import torch

from qat.ops.native.backend import is_native

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Op:
    """One row.

    Args:
        schema: name, arguments and results, as torch writes them.
        reference: the Python implementation.
        native: whether ``csrc/`` has it too.
        call: what the library calls: the native implementation where that is active.
    """

    schema: str
    reference: Callable[..., Any]
    native: bool
    call: Callable[..., Any]

    @property
    def name(self) -> str:
        """Name under which the op is registered, in the namespace ``qat``."""
        return self.schema.partition("(")[0]


#: By name.
OPS: dict[str, Op] = {}


def op(schema: str, native: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator that declares an op; the function under it is the Python implementation.

    Args:
        schema: as in ``csrc/registration.cpp``; flat, and in the order of the function's arguments.
        native: whether ``csrc/`` has the op. Without a kernel there is nothing to choose, and the
            function stays as it is.
    """

    def declare(reference: Callable[P, R]) -> Callable[P, R]:
        name = schema.partition("(")[0]
        call = _relay(name, reference) if native else reference
        OPS[name] = Op(schema, reference, native, call)
        return call

    return declare


def eager_implementation() -> Any:
    """The namespace of the active implementation, for a caller who knows that nothing is compiled.

    Its functions have the arguments of the schemas. The functions of :mod:`qat.ops` choose by
    themselves.
    """
    if is_native():
        return torch.ops.qat
    return SimpleNamespace(**{name: row.reference for name, row in OPS.items()})


def _relay(name: str, reference: Callable[P, R]) -> Callable[P, R]:
    """``reference``, or the native op of that name where the native backend is active.

    A compiler (torch.compile, torch.export) always gets the Python implementation, whose single
    steps it sees and fuses. TorchScript never reads this function: it calls the registered op.
    """

    @functools.wraps(reference)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling() or not is_native():
            return reference(*args, **kwargs)
        made: R = getattr(torch.ops.qat, name)(*args, **kwargs)
        return made

    return call
