"""Parameters that each process keeps whole where a model is sharded.

``torch.distributed.fsdp.fully_shard`` cuts parameters along their first dimension, which a learned
scale per tensor, or a learned bit width, does not have. Such parameters are replicated::

    whole = replicated_parameters(model)
    for block in model.blocks:
        fully_shard(block, ignored_params=whole)
    fully_shard(model, ignored_params=whole)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # as always after sharding

Statistics of activations are buffers, which each process takes of its own batches.
"""

from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

from qat.proxy import WeightQuantProxyFromInjector


def replicated_parameters(model: nn.Module, group: Any = None) -> set[nn.Parameter]:
    """The scalar parameters of ``model``, for ``fully_shard(..., ignored_params=...)``.

    From now on their gradient is the mean over the processes as soon as the backward pass of each
    has it, as that of sharded parameters is. Weights are quantized anew in every call: sharding
    gathers them without leaving a trace that :mod:`qat.proxy.reuse` could see.

    Args:
        model: quantized, not sharded yet; on each process the same. Call this once for it.
        group: the processes that share the model; all of them unless given.
    """
    for module in model.modules():
        if isinstance(module, WeightQuantProxyFromInjector):
            module.stop_reuse()

    def average(parameter: Tensor) -> None:
        if parameter.grad is not None and dist.get_world_size(group) > 1:
            dist.all_reduce(parameter.grad, group=group)  # gloo has no mean
            parameter.grad /= dist.get_world_size(group)

    whole = {parameter for parameter in model.parameters() if parameter.dim() == 0}
    for parameter in whole:
        parameter.register_post_accumulate_grad_hook(average)
    return whole
