"""Training through ``torch.compile``.

The model itself is measured and saved as it is. Compiled code masks the statistics of quantizers
by their counters, and ``model.train()`` at the beginning of every epoch switches them off where
they are over: the model is then compiled anew.
Under ``torch.compile`` quantizers are composed of torch's own operations, which Inductor fuses; the
C++ ops stay in use for evaluation.
"""

from __future__ import annotations

from torch import Tensor, nn

from qat_cli.engine.machine.backend import backend_in_use
from qat_cli.engine.machine.distributed import refuse_several
from qat_cli.engine.step.objective import LossFunction
from qat_cli.errors import UserError, WorkFailed
from qat_cli.recipes import Recipe
from qat_cli.terminal.console import Console

INDUCTOR = "inductor"


class CompiledObjective:
    """An objective whose model is compiled on the first call.

    Args:
        objective: what is minimised.
        console: told that the first step takes long.
        backend: of ``torch.compile``.
    """

    def __init__(self, objective: LossFunction, console: Console, backend: str = INDUCTOR) -> None:
        self.objective = objective
        self.console = console
        self.backend = backend
        self._compiled: tuple[nn.Module, nn.Module] | None = None

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As the objective's own call.

        Raises:
            WorkFailed: the model cannot be compiled.
        """
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            return self.objective(self._network(model), images, labels)
        except (TorchDynamoException, InvalidCxxCompiler) as error:
            reason = " ".join(str(error).split("\n")[:2])  # what failed; why
            raise WorkFailed(
                f"torch.compile fails on the model: {reason}; train without --compile."
            ) from error

    def _network(self, model: nn.Module) -> nn.Module:
        if self._compiled is None or self._compiled[0] is not model:
            import torch

            from qat.proxy import WeightQuantProxyFromInjector

            self.console.info(
                f"compiling the model ({self.backend}): the first step takes a minute or more, as "
                "does the one after the quantizers have their statistics"
            )
            for module in model.modules():
                if isinstance(module, WeightQuantProxyFromInjector):
                    module.start()
            compiled: nn.Module = torch.compile(model, backend=self.backend)  # type: ignore[assignment]
            self._compiled = model, compiled
        return self._compiled[1]


def compiled_objective(objective: LossFunction, recipe: Recipe, console: Console) -> LossFunction:
    """``objective`` through the compiled model, for a recipe with ``train.compile``.

    Raises:
        UserError: quantizers are TorchScript modules, which ``torch.compile`` refuses; or several
            processes share the run.
    """
    if backend_in_use(recipe) == "jit":
        raise UserError(
            "--compile (train.compile) does not take TorchScript quantizers: leave --backend jit "
            "and QAT_JIT out, or train without --compile."
        )
    refuse_several("--compile (train.compile)", "train without it, or in one process")
    return CompiledObjective(objective, console)
