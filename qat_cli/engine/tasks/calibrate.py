"""Post-training quantization: steps on a few images, measured against the float model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from qat.ptq import run_steps
from qat_cli.checkpoint import Checkpoint, library_versions, write_checkpoint
from qat_cli.data import Batches, thread_count, without_bad_files
from qat_cli.engine.evaluation.confusion import ConfusionTally
from qat_cli.engine.evaluation.measure import measure
from qat_cli.engine.evaluation.metrics import Metrics
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.engine.memory.advice import evaluation_failure, is_out_of_memory
from qat_cli.engine.run.messages import test_line
from qat_cli.engine.setup.experiment import (
    Experiment,
    decoded,
    float_experiment,
    placed,
    quantized,
    restore_quantizers,
    with_start_weights,
)
from qat_cli.errors import UserError
from qat_cli.recipes import Recipe
from qat_cli.report import (
    RunFolder,
    RunLog,
    RunSummary,
    create_run_folder,
    discarded_on_failure,
    write_confusion,
    write_recipe,
    write_summary,
)
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker

STEPS = ("ranges",)


@dataclass(frozen=True)
class Calibration:
    """A finished calibration: where it is and its outcome."""

    folder: RunFolder
    recipe: Recipe
    summary: RunSummary


def calibrate_run(
    recipe: Recipe, out: Path | None, allow_user_code: bool, console: Console
) -> Calibration:
    """Quantize the model with the recipe's weights, measure it, save it as ``best.pt``.

    Args:
        recipe: with ``quant`` and ``model.weights``.
        out: the run folder; ``None`` for the next one below ``runs/calibrate``.
        allow_user_code: the user named the model on the command line.
        console: told what is found and done; the run folder's log gets all of it.
    Raises:
        UserError: no weights, nothing to quantize, or data, model or weights cannot be used; the
            folder is removed again.
        WorkFailed: a file cannot be written.
    """
    check_recipe(recipe)
    folder = create_run_folder("calibrate", recipe.name, out)
    log = RunLog(console, folder.log)
    with ExitStack() as to_the_end:
        with discarded_on_failure(folder):
            log.info(f"run folder: {folder.path}")
            experiment = float_experiment(recipe, allow_user_code, log)
            experiment.dataset.part("train")  # missing: said now, not after the evaluation
            to_the_end.enter_context(chosen_backend(recipe, experiment.device, log))
            weights = with_start_weights(experiment, log)
            experiment = decoded(experiment, ["test"], log)
            before = measure(experiment, "test", log)
            experiment.model.cpu()  # where it is quantized
            log.info(f"float model: top-1 {before.top1:.2f} % on {before.images} test images")
            experiment = quantized(experiment, log)
            if weights is not None:
                restore_quantizers(experiment, weights, log)
            images = calibrated(experiment, log)
            write_recipe(folder.recipe, experiment.recipe, "calibrate")
        classes = experiment.dataset.classes
        tally = ConfusionTally(experiment.device, len(classes))
        test = measure(experiment, "test", log, tally)
        summary = _summary(experiment, folder, before, test, images)
    write_checkpoint(folder.best, _checkpoint(experiment, before, test))
    title = test_line(f"{recipe.name}, calibrated", test)
    write_confusion(folder.confusion, tally.counts(), classes, title)
    write_summary(folder.summary, summary.to_json())
    return Calibration(folder, experiment.recipe, summary)


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that cannot be calibrated, before anything is loaded."""
    if recipe.quant is None:
        raise UserError(f"recipe {recipe.name} has no quant section: there is nothing to calibrate")
    if recipe.model.weights is None:
        raise UserError(
            "calibration needs the weights of a trained float model: add --weights FILE; "
            "qat train --recipe float_resnet makes one, as runs/train/float_resnet-001/"
            "checkpoints/best.pt"
        )


def calibrated(experiment: Experiment, console: Console) -> int:
    """Take the post-training steps on ``calibrate.images`` training images.

    The images are drawn with ``train.seed``, not augmented, and their labels are not looked at;
    bad files among them are left out where ``data.skip_bad_files`` says so.

    Returns:
        How many there were.
    """
    batches = calibration_batches(experiment, console)
    model = placed(experiment).eval()
    images = 0
    try:
        with Ticker(console, "calibrating", batches.images) as ticker:
            for report in run_steps(model, STEPS, Images(batches), ticker.update):
                images = report.images
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise evaluation_failure(error, model, batches, "calibrate.batch_size") from error
    console.info(f"calibrated on {images} training images")
    return images


@dataclass(frozen=True)
class Images:
    """The images of batches, without labels, each time that they are asked for."""

    batches: Batches

    def __iter__(self) -> Iterator[Tensor]:
        return (images for images, _ in self.batches.epoch())


def calibration_batches(experiment: Experiment, console: Console) -> Batches:
    """Batches of the training images that the model is calibrated on."""
    recipe, dataset = experiment.recipe, experiment.dataset
    part = dataset.part("train").sample(recipe.calibrate.images, recipe.train.seed)
    return Batches(
        part=without_bad_files(part, "calibration", recipe.data, console),
        mean=dataset.mean,
        std=dataset.std,
        batch_size=recipe.calibrate.batch_size,
        device=experiment.device,
        channels_last=recipe.train.channels_last,
        threads=thread_count(recipe.data.workers),
        prefetch=recipe.data.prefetch,
    )


def _checkpoint(experiment: Experiment, float_test: Metrics, test: Metrics) -> Checkpoint:
    return Checkpoint(
        recipe=experiment.recipe,
        weights=experiment.model.state_dict(),
        classes=experiment.dataset.classes,
        input_shape=experiment.dataset.shape,
        metrics={"test": test.as_dict(), "float_test": float_test.as_dict()},
    )


def _summary(
    experiment: Experiment, folder: RunFolder, float_test: Metrics, test: Metrics, images: int
) -> RunSummary:
    recipe = experiment.recipe
    return RunSummary(
        command="calibrate",
        recipe=recipe.name,
        model=recipe.model.name,
        data=recipe.data.name,
        device=str(experiment.device),
        run=str(folder.path),
        checkpoint=str(folder.best),
        test=test,
        weights=recipe.model.weights,
        backend=backend_in_use(recipe),
        float_test=float_test,
        parameters=sum(parameter.numel() for parameter in experiment.model.parameters()),
        calibration_images=images,
        versions=library_versions(),
    )
