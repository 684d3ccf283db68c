"""Training modes of a model's modules, kept over a block.

``model.train(was_training)`` would not do: it sets every module to the mode of the root, a frozen
batch norm too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from qat.proxy import WeightQuantProxyFromInjector


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Put the training mode of every module back on leaving; frozen ones stay frozen."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            if module.training != training:  # setting an attribute of a module is slow
                module.training = training
            if isinstance(module, WeightQuantProxyFromInjector):
                module.forget()  # as train() does


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the block ``model`` is in evaluation mode; every module gets its own mode back."""
    with modes_kept(model):
        if any(module.training for module in model.modules()):
            model.eval()
        yield
