"""Which forward pass of a model a call belongs to.

A quantizer that is called several times in one pass (for each operand of an addition, in a layer
that two places share) has to hold the largest of what it gets there, not their mean.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_numbers = itertools.count(1)
_local = threading.local()


@contextmanager
def one_pass() -> Iterator[None]:
    """Calls within the block belong to one forward pass, that of the outermost such block."""
    if torch.compiler.is_compiling() or current_pass() != 0:
        yield
        return
    _local.number = next(_numbers)
    try:
        yield
    finally:
        _local.number = 0


def current_pass() -> int:
    """The number of the pass that is running in this thread; 0 where nobody said that one is."""
    return getattr(_local, "number", 0)
