"""The answer of a dry run: costs of model and training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qat_cli.commands.views.costs import costs_document, show_costs, show_lines
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import DryRun, StepFigures
    from qat_cli.recipes import Recipe


def show_dry_run(command: str, found: DryRun, console: Console) -> None:
    """Give the answer of ``qat COMMAND --dry-run``."""
    from qat_cli.report import finite

    recipe = found.experiment.recipe
    document = {
        "command": command,
        "dry_run": True,
        "recipe": recipe.name,
        "model": recipe.model.name,
        "data": recipe.data.name,
        "device": str(found.experiment.device),
        "backend": found.backend,
        **costs_document(found.costs),
        "training": found.step and _step_document(found.step, recipe),
    }

    def human() -> None:
        title = f"model {recipe.model.name}"
        show_costs(title, found.costs, console, with_scales=False)
        if found.step is not None:
            show_lines(_step_lines(found.step, recipe), console)
        show_lines([("dry run", "nothing was trained, nothing is kept")], console)

    console.emit(finite(document), human)


def _step_document(figures: StepFigures, recipe: Recipe) -> dict[str, Any]:
    memory, size = figures.memory, recipe.train.batch_size
    return {
        "batch_size": size,
        "accumulate": recipe.train.accumulate,
        "peak_bytes": memory.peak(size),
        "activation_bytes": memory.activations(size),
        "model_bytes": memory.model,
        "gradient_bytes": memory.gradients,
        "optimizer_bytes": memory.optimizer,
        "available_bytes": figures.room,
        "largest_batch_size": _largest(figures),
        "step_seconds": figures.seconds,
        "steps_per_epoch": figures.steps,
        "epoch_seconds": figures.seconds * figures.steps,
    }


def _largest(figures: StepFigures) -> int | None:
    from qat_cli.engine.memory.advice import SHARE

    return None if figures.room is None else figures.memory.largest_batch(int(SHARE * figures.room))


def _step_lines(figures: StepFigures, recipe: Recipe) -> list[tuple[str, str]]:
    from qat_cli.engine.memory.advice import gib
    from qat_cli.terminal.ticker import duration

    train, memory = recipe.train, figures.memory
    peak, kept = memory.peak(train.batch_size), memory.activations(train.batch_size)
    lines = []
    if peak is not None and kept is not None:
        there = "" if figures.room is None else f" of {gib(figures.room)}"
        lines.append(
            (
                "memory",
                f"{gib(peak)}{there} at the peak of a step with {train.batch_size} images: "
                f"activations {gib(kept)}, model {gib(memory.model)}, gradients "
                f"{gib(memory.gradients)}, optimizer {gib(memory.optimizer)}",
            )
        )
    largest = _largest(figures)
    if largest is not None:
        lines.append(("", f"up to {largest:,} images a batch would fit"))
    images = train.batch_size * train.accumulate
    epoch = figures.seconds * figures.steps
    lines.append(
        (
            "time",
            f"{_short(figures.seconds)} a step of {images} images, {duration(epoch)} an epoch of "
            f"{figures.steps} steps, {duration(epoch * train.epochs)} the {train.epochs} epochs; "
            "without validation",
        )
    )
    return lines


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
