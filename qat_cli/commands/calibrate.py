"""``qat calibrate``: post-training quantization of a trained float model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qat_cli.app.options import (
    BackendOption,
    DataOption,
    DeviceOption,
    DryRunOption,
    JsonOption,
    ModelOption,
    OutOption,
    OverridesArgument,
    QuietOption,
    RecipeOption,
    SeedOption,
    SkipBadFilesOption,
    WeightsOption,
    named_keys,
    names_model,
)
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Calibration


def calibrate(
    recipe: RecipeOption = None,
    overrides: OverridesArgument = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    data: DataOption = None,
    skip_bad_files: SkipBadFilesOption = None,
    out: OutOption = None,
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", help="Training images that are shown."),
    ] = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    backend: BackendOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Quantize a trained float model without training it.

    Only ranges are measured: a few training images are shown, their labels are not used.
    Then the float and the quantized model are measured on the test part.
    """
    from qat_cli.recipes import load_recipe

    if recipe is None:
        raise UserError(
            "which recipe? For example: qat calibrate --recipe resnet_w8a8_ptq --weights FILE; "
            "qat recipes list shows all."
        )
    options = {
        "model": model,
        "weights": weights,
        "data": data,
        "skip_bad_files": skip_bad_files,
        "seed": seed,
        "device": device,
        "backend": backend,
    }
    changes = [*(overrides or []), *([] if images is None else [f"calibrate.images={images}"])]
    chosen = load_recipe(recipe, changes, options)
    from qat_cli.engine import calibrate_run, dry_calibrate, keep_freed_memory

    keep_freed_memory()
    allow_user_code = names_model(named_keys(changes, options))
    console = Console(json, quiet)
    if dry_run:
        from qat_cli.commands.views.dry_run import show_dry_run

        if out is not None:
            raise UserError("--dry-run keeps nothing: leave --out out")
        show_dry_run("calibrate", dry_calibrate(chosen, allow_user_code, console), console)
        return
    _answer(calibrate_run(chosen, out, allow_user_code, console), console)


def _answer(done: Calibration, console: Console) -> None:
    import shlex

    from qat_cli.models import is_user_code

    words = ["qat", "eval", "--checkpoint", str(done.folder.best)]
    if is_user_code(done.recipe.model.name):
        words += ["--model", done.recipe.model.name]

    def human() -> None:
        before, after = done.summary.float_test, done.summary.test
        assert before is not None
        console.out("")
        console.out(f"float       top-1 {before.top1:.2f} %, loss {before.loss:.4f}")
        console.out(
            f"quantized   top-1 {after.top1:.2f} % ({after.top1 - before.top1:+.2f}), "
            f"loss {after.loss:.4f} ({after.images} test images)"
        )
        console.out(f"calibrated  with {done.summary.calibration_images} training images")
        console.out(f"checkpoint  {done.folder.best}")
        console.out(f"confusion   {done.folder.confusion}")
        console.out(f"next        {shlex.join(words)}")

    console.emit(done.summary.to_json(), human)
