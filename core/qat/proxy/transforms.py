"""Transforms of torch that quantizers do not go through."""

import torch
from torch import nn

from qat import jit
from qat.ops.native.backend import is_native
from qat.proxy.torch_private import is_traced_by_torchscript, is_transformed, transforms


def refuse_transforms(quantizer: nn.Module) -> None:
    """Refuse a call of ``quantizer`` inside a transform that cannot take it.

    Its gradients are estimates, which autograd knows and ``torch.func`` does not; ``vmap`` takes
    compiled operations only, and no statistics.

    Raises:
        RuntimeError: names the transform and what to do.
    """
    if torch.compiler.is_compiling():
        return
    if is_transformed():
        _refuse_functions(quantizer, transforms())
    elif is_traced_by_torchscript() and jit.is_scripted(quantizer):
        raise RuntimeError(
            "torch.jit.trace does not go through quantizers that TorchScript compiled: build the "
            "model with qat.config.JIT_ENABLED = False (QAT_JIT=0), and trace that."
        )


def _refuse_functions(quantizer: nn.Module, names: set[str]) -> None:
    if names & {"Grad", "Jvp"}:
        raise RuntimeError(
            "torch.func.grad, vjp, jvp and what is made of them do not go through a quantizer, "
            "whose gradient is an estimate that autograd alone knows: use loss.backward() or "
            "torch.autograd.grad; torch.func.functional_call works with both."
        )
    if "Vmap" not in names:
        return
    if quantizer.training:
        raise RuntimeError(
            "torch.vmap does not go through a quantizer in training, which takes statistics of "
            "the batch: call model.eval() first, or the model on the whole batch."
        )
    if jit.is_scripted(quantizer) or not is_native():
        raise RuntimeError(
            "torch.vmap goes through quantizers with the native backend only: set "
            "qat.config.NATIVE_STE_BACKEND_ENABLED = True and JIT_ENABLED = False, or call the "
            "model on the whole batch."
        )
