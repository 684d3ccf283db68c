"""``qat calibrate``: post-training quantization of a trained float model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qat_cli.app.given import Given, with_options
from qat_cli.commands.views.next_command import next_command
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Calibration


@with_options("calibrate")
def calibrate(given: Given) -> None:
    """Quantize a trained float model without training it.

    Only ranges are measured: a few training images are shown, their labels are not used.
    Then the float and the quantized model are measured on the test part.
    """
    if given["recipe"] is None:
        raise UserError(
            "which recipe? For example: qat calibrate --recipe resnet_w8a8_ptq --weights FILE; "
            "qat recipes list shows all."
        )
    recipe, console = given.load(given["recipe"]), given.console()
    from qat_cli.engine import calibrate_run, dry_calibrate, keep_freed_memory

    keep_freed_memory()
    if given["dry_run"]:
        from qat_cli.commands.views.dry_run import show_dry_run

        if given["out"] is not None:
            raise UserError("--dry-run keeps nothing: leave --out out")
        found = dry_calibrate(recipe, given.names_model, console)
        show_dry_run("calibrate", found, console)
        return
    _answer(calibrate_run(recipe, given["out"], given.names_model, console), console)


def _answer(done: Calibration, console: Console) -> None:

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
        console.out(f"next        {next_command(done.folder.best, done.recipe)}")

    console.emit(done.summary.to_json(), human)
