"""Export of a checkpoint, with a proof of the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qat.components import statistics_left
from qat.proxy import QuantProxy
from qat_cli.checkpoint import Checkpoint, read_checkpoint
from qat_cli.data import evaluation_batches, load_data, prepared
from qat_cli.engine.machine.backend import chosen_backend
from qat_cli.engine.setup.experiment import Experiment, float_experiment, restored
from qat_cli.engine.tasks.inspect import one_image
from qat_cli.errors import UserError, WorkFailed
from qat_cli.recipes import changed
from qat_cli.recipes.overrides import Override
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker

#: Images that an export is tried on unless told otherwise.
IMAGES = 16
EXTRA = 'pip install "qat-cli[export]"'


@dataclasses.dataclass(frozen=True)
class Proven:
    """An exported network, and what was compared.

    Args:
        recipe: of the checkpoint.
        path: of the file.
        bytes: of the file.
        float_bytes: of the float network's parameters.
        layers: a line for each layer, see :class:`qat.export.report.LayerLine`.
        kept: quantizers that are float operations in the file, each with its reason.
        notes: what else is to be known.
        rows: comparisons, see :class:`qat.export.verify.Row`.
        moved: integers that rounding the biases moved by a step, and how many were looked at.
        images: how many were shown, and whose they are.
        differing: predictions that differ between torch and the file.
    """

    recipe: Any
    path: Path
    bytes: int
    float_bytes: int
    layers: Sequence[Any]
    kept: Sequence[Any]
    notes: Sequence[str]
    rows: Sequence[Any]
    moved: tuple[int, int]
    images: tuple[int, str]
    differing: int

    @property
    def holds(self) -> bool:
        """Every comparison holds."""
        return all(row.holds for row in self.rows)


def export_checkpoint(
    path: Path, out: Path | None, opset: int, changes: Sequence[Override], console: Console
) -> Proven:
    """Write the network of a checkpoint as ONNX, and prove it.

    Args:
        path: of the checkpoint.
        out: the file; None for ``export/RECIPE.onnx`` in the run folder.
        opset: 21 or 25.
        changes: of the recipe; ``model.name`` repeats the user's own model.
        console: told what is done.
    Raises:
        UserError: the checkpoint, the model or the format do not fit, or the extra is missing.
        WorkFailed: the file cannot be written.
    """
    _require_packages()
    from qat.export.onnx_file import write_onnx

    checkpoint, experiment = _network(path, changes, console)
    out = out or _beside(path) / f"{checkpoint.recipe.name}.onnx"
    images, whose = _images(checkpoint, experiment, changes, IMAGES, console)
    with chosen_backend(experiment.recipe, torch.device("cpu"), console):
        lowered = _lowered(experiment, images)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            written = write_onnx(lowered.program, out, opset, _metadata(checkpoint))
        except OSError as error:
            raise WorkFailed(f"cannot write {out}: {error.strerror}.") from error
        except ValueError as error:
            raise UserError(f"the network has no ONNX form: {error}") from error
        return _proven(experiment, lowered, written, images, whose, console)


def verify_checkpoint(
    path: Path, file: Path, count: int, changes: Sequence[Override], console: Console
) -> Proven:
    """Prove that ``file`` is the network of a checkpoint.

    Args:
        path: of the checkpoint.
        file: that ``qat export`` wrote from it.
        count: how many images to show.
        changes: of the recipe; ``data.name`` names other data.
        console: told what is done.
    Raises:
        UserError: one of them cannot be used, or the file is of another network.
    """
    _require_packages()
    from qat.export.onnx_file import written_as
    from qat.export.onnx_run import WrongFile

    if not file.is_file():
        raise UserError(f"{file} does not exist; qat export --checkpoint {path} writes one")
    checkpoint, experiment = _network(path, changes, console)
    images, whose = _images(checkpoint, experiment, changes, count, console)
    with chosen_backend(experiment.recipe, torch.device("cpu"), console):
        lowered = _lowered(experiment, images)
        try:
            written = written_as(lowered.program, file)
            return _proven(experiment, lowered, written, images, whose, console)
        except WrongFile as error:
            raise UserError(f"{error}; qat export --checkpoint {path} writes it anew") from error


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"this needs the package {error.name}: {EXTRA}") from None


def _network(
    path: Path, changes: Sequence[Override], console: Console
) -> tuple[Checkpoint, Experiment]:
    checkpoint = read_checkpoint(path)
    recipe = changed(changed(checkpoint.recipe, changes), {"train.device": "cpu"})
    names_model = any(change.key == "model.name" for change in changes)
    experiment = float_experiment(recipe, names_model, console, one_image(checkpoint))
    experiment = restored(checkpoint, path, experiment, console, show=False)
    proxies = [each for each in experiment.model.modules() if isinstance(each, QuantProxy)]
    if not any(proxy.is_quant_enabled for proxy in proxies):
        raise UserError(f"{path} is a float network: quantize it with qat train or qat calibrate")
    left = statistics_left(experiment.model)
    if left > 0:
        raise UserError(
            f"{path} is in its statistics phase, {left} steps from learned ranges: go on with the "
            f"run (qat train --resume), or calibrate"
        )
    return checkpoint, experiment


def _beside(path: Path) -> Path:
    parent = path.resolve().parent
    folder = parent.parent if parent.name == "checkpoints" else parent
    try:
        return folder.relative_to(Path.cwd()) / "export"
    except ValueError:
        return folder / "export"


def _images(
    checkpoint: Checkpoint,
    experiment: Experiment,
    changes: Sequence[Override],
    count: int,
    console: Console,
) -> tuple[Tensor, str]:
    """A batch of test images, as the network takes them; of noise where the data is not at hand."""
    recipe = experiment.recipe
    named = any(change.key == "data.name" for change in changes)
    try:
        dataset = load_data(recipe.data, console).labelled_as(checkpoint.classes)
        dataset, data = prepared(dataset, ["test"], recipe.data, console)
    except UserError as error:
        if named:
            raise
        console.warn(f"{error} The network is tried on noise instead; --data names images.")
        generator = torch.Generator().manual_seed(0)
        return torch.randn(count, *checkpoint.input_shape, generator=generator), "noise"
    recipe = changed(recipe, {"data": data, "train.eval_batch_size": count})
    batches = evaluation_batches(dataset, "test", recipe, torch.device("cpu"))
    batch = next(iter(batches.epoch(0)))
    images: Tensor = batch[0]
    return images.contiguous(), data.name


def _lowered(experiment: Experiment, images: Tensor) -> Any:
    from qat.export.lowering import lower

    model = experiment.model.cpu().eval()
    example = images[:2] if len(images) > 1 else torch.cat([images, images])
    try:
        return lower(model, (example,))
    except ValueError as error:
        raise UserError(f"model {experiment.recipe.model.name}: {error}") from error


def _metadata(checkpoint: Checkpoint) -> dict[str, str]:
    recipe = checkpoint.recipe
    normalization = {"mean": recipe.data.mean, "std": recipe.data.std}
    return {
        "recipe": recipe.name,
        "model": recipe.model.name,
        "classes": "\n".join(checkpoint.classes),
        "layout": "NCHW",
        **{name: " ".join(map(str, each)) for name, each in normalization.items() if each},
    }


def _proven(
    experiment: Experiment,
    lowered: Any,
    written: Any,
    images: Tensor,
    whose: str,
    console: Console,
) -> Proven:
    from qat.export import onnx_run, verify
    from qat.export.report import layer_lines

    program, model = lowered.program, experiment.model
    steps: Mapping[str, Callable[[], list[Any]]] = {
        "parameters": lambda: verify.verify_parameters(program, written),
        "the reference": lambda: verify.verify_reference(program, written, images),
        "onnxruntime": lambda: verify.verify_runtime(program, written, images, False),
        "onnxruntime, fused": lambda: verify.verify_runtime(program, written, images, True),
        "torch": lambda: verify.verify_torch(program, model, images),
    }
    rows: list[Any] = []
    with Ticker(console, "verifying", len(steps) + 1) as ticker:
        for number, step in enumerate(steps.values()):
            rows += step()
            ticker.update(number + 1)
        moved = verify.moved_by_biases(program, images)
        kernels = onnx_run.kernels(written)
        ticker.update(len(steps) + 1)
    _, made = onnx_run.run_onnx(written, program, images, optimized=True)
    with torch.no_grad():
        ours = model(images)
    differing = int((made.argmax(1) != ours.argmax(1)).sum())
    return Proven(
        experiment.recipe,
        written.path,
        written.bytes,
        sum(4 * each.numel() for each in _float_parameters(model)),
        layer_lines(program, kernels),
        lowered.kept,
        lowered.notes,
        rows,
        moved,
        (len(images), whose),
        differing,
    )


def _float_parameters(model: torch.nn.Module) -> Iterator[Tensor]:
    quantizers = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, QuantProxy)
        for parameter in module.parameters()
    }
    for parameter in model.parameters():
        if id(parameter) not in quantizers:
            yield parameter
