"""Attributes of modules, as they were before a run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from qat.torchscript import is_scripted

_CONTAINERS = (dict, OrderedDict, list, set)


@contextmanager
def attributes_put_back(model: nn.Module) -> Iterator[None]:
    """Attributes of all modules, and what lists, dicts and plain tensors hold, are kept.

    So a run that fills a cache, counts in Python or registers a buffer leaves nothing behind, and
    each run is a first one. What is inside of other objects is not seen.
    """
    kept = [_Kept(module) for module in model.modules() if not is_scripted(module)]
    try:
        yield
    finally:
        for each in kept:
            each.put_back()


def numbers_of(model: nn.Module) -> dict[str, Any]:
    """Numbers and flags that are attributes of modules, by path; ``training`` is none."""
    return {
        f"{path}.{name}" if path else name: item
        for path, module in model.named_modules()
        for name, item in vars(module).items()
        if type(item) in (bool, int, float) and name != "training"
    }


class _Kept:
    def __init__(self, module: nn.Module) -> None:
        self.attributes = vars(module)
        self.before = dict(self.attributes)
        self.containers = [
            (item, item.copy()) for item in self.before.values() if type(item) in _CONTAINERS
        ]
        self.tensors = [
            (item, item._version, item.detach().clone())
            for item in self.before.values()
            if isinstance(item, Tensor)
        ]

    def put_back(self) -> None:
        self.attributes.clear()
        self.attributes.update(self.before)
        for item, before in self.containers:
            item.clear()
            item.extend(before) if isinstance(item, list) else item.update(before)
        with torch.no_grad():
            for tensor, version, value in self.tensors:
                if tensor._version != version:
                    tensor.copy_(value)
