"""Float models with random weights, from the ``model`` section."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from qat.nn.modes import evaluating
from qat.torchscript import is_scripted
from qat_cli.errors import UserError, did_you_mean
from qat_cli.models.built_in import BUILT_IN
from qat_cli.models.timm_models import is_timm, timm_factory
from qat_cli.models.user_code import is_user_code, load_factory
from qat_cli.recipes.schema import ModelConfig

# Their forward returns a tuple in training unless the auxiliary heads are left out.
_NO_AUXILIARY_HEADS: Mapping[str, Mapping[str, object]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def torchvision_names() -> list[str]:
    """The classifiers that torchvision builds by name."""
    from torchvision import models

    return models.list_models(module=models)


def build_model(
    config: ModelConfig, shape: tuple[int, int, int], num_classes: int, allow_user_code: bool
) -> nn.Module:
    """A float model with random weights.

    The factory gets ``config.kwargs``, and ``in_channels``, ``num_classes`` and ``image_size``
    where its signature has them; ``image_size`` is one number for square images, else
    ``(height, width)``.

    Args:
        config: names a built-in model, a torchvision classifier, one of timm's, or the user's
            factory.
        shape: (channels, height, width) of the images.
        num_classes: classes of the data.
        allow_user_code: the user named the model on the command line of this run.
    Raises:
        UserError: unknown name, the factory fails, or it gives no ``nn.Module``.
    """
    factory, given = _factory(config.name, allow_user_code)
    channels, height, width = shape
    offered = {
        "in_channels": channels,
        "num_classes": num_classes,
        "image_size": height if height == width else (height, width),
    }
    kwargs = {**_accepted(config.name, factory, offered), **given, **config.kwargs}
    try:
        model = factory(**kwargs)
    except Exception as error:
        arguments = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
        raise UserError(
            f"model {config.name!r}: building it with ({arguments}) fails: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise UserError(
            f"model {config.name!r}: the factory returned {type(model).__name__}, "
            "not a torch.nn.Module."
        )
    return model


def built_in_factory(name: str) -> Callable[..., nn.Module]:
    """What builds the model ``name`` of :data:`BUILT_IN`."""
    file = importlib.import_module(f"qat_cli.models.{BUILT_IN[name]}")
    factory: Callable[..., nn.Module] = getattr(file, name)
    return factory


def without_wrappers(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """``model`` without wrappers, see :func:`qat.graph.tracing.unwrap.unwrap`, and notes on them.

    One compiled by TorchScript is itself: it can be used in float.

    Raises:
        UserError: the model is sharded, or a wrapper has hooks.
    """
    from qat.graph.tracing.unwrap import unwrap  # the graph floor is slow to import

    if is_scripted(model):
        return model, []
    try:
        plain = unwrap(model)
    except ValueError as error:
        raise UserError(f"the model cannot be used: {error}") from error
    return plain.model, plain.notes


def first_conv_channels(model: nn.Module) -> int | None:
    """Channels of the images that the model takes: those of its first convolution, if any."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return None


def check_output(model: nn.Module, name: str, images: Tensor, classes: int) -> int:
    """Run ``images`` [N, C, H, W] through the model once, in evaluation mode.

    Returns:
        How many outputs it has, at least ``classes``.
    Raises:
        UserError: the model fails on images of this shape, gives no [N, K] tensor, or K is less
            than ``classes``.
    """
    shape = "x".join(map(str, images.shape[1:]))
    try:
        with torch.no_grad(), evaluating(model):
            output = model(images)
    except Exception as error:
        raise UserError(
            f"model {name!r} fails on images of shape {shape} (channels x height x width): "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(images):
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(
            f"model {name!r} gives {got} for {len(images)} image(s); a classifier gives one row "
            "of class scores per image."
        )
    if output.shape[1] < classes:
        raise UserError(
            f"model {name!r} has {output.shape[1]} outputs but the data has {classes} classes; "
            f"set model.kwargs.num_classes={classes} or use other data."
        )
    return output.shape[1]


def _factory(name: str, allow_user_code: bool) -> tuple[Callable[..., Any], Mapping[str, object]]:
    if name in BUILT_IN:
        return built_in_factory(name), {}
    if is_timm(name):
        return timm_factory(name), {}
    if is_user_code(name):
        if not allow_user_code:
            raise UserError(
                f"the model is code of your own, {name}, and code runs only when you name it "
                f"yourself; add --model {name}"
            )
        return load_factory(name), {}
    from torchvision import models

    known = torchvision_names()
    if name not in known:
        raise UserError(
            f"no model is called {name!r}{did_you_mean(name, [*BUILT_IN, *known]) or '.'} "
            f"Models: {', '.join(BUILT_IN)}, torchvision's classifiers, timm:NAME, "
            "or path/file.py:factory."
        )
    # Not get_model: the builder's signature does not show num_classes, which all of them take.
    return models.get_model_builder(name), _NO_AUXILIARY_HEADS.get(name, {})


def _accepted(
    name: str, factory: Callable[..., Any], offered: Mapping[str, object]
) -> dict[str, object]:
    if getattr(factory, "__module__", "").startswith("torchvision."):
        # Position embeddings are made for one size of images, which is 224 unless said.
        wanted = ["num_classes", "image_size"] if name.startswith("vit_") else ["num_classes"]
        return {key: offered[key] for key in wanted}
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some callables written in C have no signature
        return {}
    return {key: value for key, value in offered.items() if key in parameters}
