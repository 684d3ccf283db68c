"""The gradient of a step, summed over the processes.

By hand, not by torch's DistributedDataParallel: that waits in every backward pass for a gradient of
every parameter, and the parameters of quantizers have none at times (while statistics are taken, or
frozen) and are replaced when a quantizer is rebuilt; its wrapper puts ``module.`` before every name
in a state dict; and it reduces once per backward pass unless told otherwise, where accumulation
wants once per step. What it would do better is to send while the backward pass goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from qat_cli.engine.machine import distributed

BUCKET_BYTES = 2**25  # sent at once: large enough to be fast, small against the model


def sum_gradients(model: nn.Module) -> None:
    """Replace every gradient by the sum over the processes; nothing to do for one alone.

    The losses of the processes have been weighted by their shares of the step's images, so that
    the sum is the gradient of the mean over all of them. A parameter that has a gradient in some
    processes only counts as zero in the others; one that has none anywhere keeps none, as the
    optimizer then leaves it alone.
    """
    if distributed.size() == 1:
        return
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    has_gradient = torch.tensor([p.grad is not None for p in parameters], dtype=torch.uint8)
    distributed.largest(has_gradient)
    gradients = []
    for parameter, is_needed in zip(parameters, has_gradient.tolist(), strict=True):
        if is_needed:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    for bucket in _buckets(gradients):
        _sum_together(bucket)


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients in order, in lists of one dtype and of at most ``BUCKET_BYTES``, or of one."""
    bucket: list[Tensor] = []
    held = 0
    for gradient in gradients:
        of_another_kind = bucket and bucket[0].dtype != gradient.dtype
        if bucket and (of_another_kind or held + gradient.nbytes > BUCKET_BYTES):
            yield bucket
            bucket, held = [], 0
        bucket.append(gradient)
        held += gradient.nbytes
    if bucket:
        yield bucket


@torch.no_grad()
def _sum_together(gradients: list[Tensor]) -> None:
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])  # whatever their layout
    distributed.summed(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))
