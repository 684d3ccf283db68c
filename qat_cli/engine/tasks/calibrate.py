"""Post-training quantization: show a few images, then measure against the float model."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qat_cli.checkpoint import Checkpoint, library_versions, write_checkpoint
from qat_cli.data import Batches, thread_count, without_bad_files
from qat_cli.engine.evaluation.confusion import ConfusionTally
from qat_cli.engine.evaluation.measure import measure
from qat_cli.engine.evaluation.metrics import Metrics
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.engine.memory.advice import evaluation_explained
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
    create_run_folder,
    discarded_on_failure,
    write_confusion,
    write_recipe,
    write_summary,
)
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker


@dataclass(frozen=True)
class Calibration:
    """Figures of the test part before and after, how many images were shown, and where it is."""

    folder: RunFolder
    recipe: Recipe
    float_test: Metrics
    test: Metrics
    images: int
    summary: dict[str, Any]


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
            images = show_images(experiment, log)
            write_recipe(folder.recipe, experiment.recipe, "calibrate")
        classes = experiment.dataset.classes
        tally = ConfusionTally(experiment.device, len(classes))
        test = measure(experiment, "test", log, tally)
        summary = _summary(experiment, folder, before, test, images)
    write_checkpoint(folder.best, _checkpoint(experiment, before, test))
    title = test_line(f"{recipe.name}, calibrated", test)
    write_confusion(folder.confusion, tally.counts(), classes, title)
    write_summary(folder.summary, summary)
    return Calibration(folder, experiment.recipe, before, test, images, summary)


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


def show_images(experiment: Experiment, console: Console) -> int:
    """Run ``calibrate.images`` training images through the model in calibration mode.

    The images are drawn with ``train.seed``, not augmented, and their labels are not looked at;
    bad files among them are left out where ``data.skip_bad_files`` says so.

    Returns:
        How many there were.
    """
    from qat.ptq import calibration_mode

    recipe, dataset = experiment.recipe, experiment.dataset
    part = dataset.part("train").sample(recipe.calibrate.images, recipe.train.seed)
    batches = Batches(
        part=without_bad_files(part, "calibration", recipe.data, console),
        mean=dataset.mean,
        std=dataset.std,
        batch_size=recipe.calibrate.batch_size,
        device=experiment.device,
        channels_last=recipe.train.channels_last,
        threads=thread_count(recipe.data.workers),
        prefetch=recipe.data.prefetch,
    )
    model = placed(experiment).eval()
    done = 0
    with (
        torch.no_grad(),
        calibration_mode(model),
        evaluation_explained(model, batches, "calibrate.batch_size"),
        Ticker(console, "calibrating", batches.images) as ticker,
    ):
        for images, _ in batches.epoch():
            model(images)
            done += len(images)
            ticker.update(done)
    console.info(f"calibrated on {done} training images")
    return done


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
) -> dict[str, Any]:
    recipe = experiment.recipe
    return {
        "command": "calibrate",
        "recipe": recipe.name,
        "model": recipe.model.name,
        "weights": recipe.model.weights,
        "data": recipe.data.name,
        "device": str(experiment.device),
        "backend": backend_in_use(recipe),
        "run": str(folder.path),
        "checkpoint": str(folder.best),
        "calibration_images": images,
        "top1": test.top1,
        "top5": test.top5,
        "loss": test.loss,
        "images": test.images,
        "test": test.as_dict(),
        "float_test": float_test.as_dict(),
        "versions": library_versions(),
    }
