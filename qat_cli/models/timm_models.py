"""Models of the package timm, named ``timm:NAME``, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qat_cli.errors import UserError, did_you_mean

PREFIX = "timm:"


def is_timm(name: str) -> bool:
    """``name`` has the form ``timm:NAME``."""
    return name.startswith(PREFIX)


def timm_names() -> list[str]:
    """The models that timm can build, as they are named here; none where it is not installed."""
    try:
        import timm
    except ModuleNotFoundError:
        return []
    return [PREFIX + name for name in timm.list_models()]


def timm_factory(name: str) -> Callable[..., Any]:
    """What builds ``timm:NAME``, from ``num_classes``, ``in_channels`` and timm's own arguments.

    Only names of timm's own table: others make timm fetch files from the network.

    Raises:
        UserError: timm is not installed, or has no such model.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise UserError(f"model {name!r} needs timm ({error}): pip install timm") from None
    known = timm.list_models()
    wanted = name.removeprefix(PREFIX)
    if wanted not in known:
        near = did_you_mean(wanted, known) or "; "
        raise UserError(f"timm has no model {wanted!r}{near} qat models timm lists {len(known)}.")

    def make(num_classes: int, in_channels: int, **kwargs: Any) -> Any:
        return timm.create_model(wanted, num_classes=num_classes, in_chans=in_channels, **kwargs)

    return make
