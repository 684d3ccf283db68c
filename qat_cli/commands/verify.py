"""``qat verify``: the proof of an exported file."""

from __future__ import annotations

from qat_cli.app.given import Given, with_options
from qat_cli.errors import UserError, WorkFailed


@with_options("verify")
def verify(given: Given) -> None:
    """Prove that an exported file is a checkpoint's network.

    Its parameters are compared bit by bit, and the integers of every layer between torch, an exact
    reference and onnxruntime. Exit code 1 where a number differs that is not beside a tie.
    """
    console, checkpoint, file = given.console(), given["checkpoint"], given["model_file"]
    missing = [f"--{n.replace('_', '-')}" for n in ("checkpoint", "model_file") if not given[n]]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing; for example: qat verify --checkpoint best.pt "
            "--model-file network.onnx"
        )
    if given["images"] < 1:
        raise UserError(f"--images {given['images']} shows nothing; give at least 1")
    from qat_cli.commands.views.proof import show_proof
    from qat_cli.engine import keep_freed_memory, verify_checkpoint

    keep_freed_memory()
    proven = verify_checkpoint(checkpoint, file, given["images"], given.options, console)
    show_proof("verify", checkpoint, proven, console)
    if not proven.holds:
        raise WorkFailed(f"{file} is not the network of {checkpoint}: see the rows above")
