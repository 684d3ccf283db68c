"""torch's plain batch norms in the place of those that compute more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def is_plain_call(module: nn.Module, given: Mapping[str, Any]) -> bool:
    """Whether ``module``, as it is now, calls ``F.batch_norm`` as torch's batch norms do.

    Args:
        module: whose ``forward`` makes the call.
        given: all arguments of ``F.batch_norm``, by name.
    """
    if not isinstance(module, _BatchNorm) or plain_class(module) is None:
        return False
    collects = module.training and module.track_running_stats
    if module.momentum is None and collects:
        return False
    uses_batch = module.training or (module.running_mean is None and module.running_var is None)
    uses_running = not module.training or module.track_running_stats
    return (
        given["running_mean"] is (module.running_mean if uses_running else None)
        and given["running_var"] is (module.running_var if uses_running else None)
        and given["weight"] is module.weight
        and given["bias"] is module.bias
        and bool(given["training"]) == uses_batch
        and given["eps"] == module.eps
        and (not collects or given["momentum"] == module.momentum)
    )


def plain_class(module: nn.Module) -> type[nn.Module] | None:
    """The batch norm of torch that a module with a ``forward`` of its own derives from."""
    return next((plain for plain in _PLAIN if isinstance(module, plain)), None)


def plain_batch_norm(module: Any) -> nn.Module:
    """torch's batch norm with the tensors and children of ``module``; it does not call these."""
    plain: Any = plain_class(module)
    made: nn.Module = plain.__new__(plain)
    nn.Module.__init__(made)
    made.__dict__.update(
        {
            name: item.copy() if isinstance(item, dict | set) else item
            for name, item in vars(module).items()
            if "hooks" not in name
        }
    )
    return made
