"""``qat export``: a checkpoint as a proven ONNX file."""

from __future__ import annotations

from qat_cli.app.given import Given, with_options
from qat_cli.errors import UserError, WorkFailed


@with_options("export")
def export(given: Given) -> None:
    """Write a checkpoint as ONNX, and prove that it is the same.

    Weights are integers in the file, batch norms are folded, and onnxruntime runs the layers in
    integers. A batch of test images is then run by torch, by an exact reference and by onnxruntime,
    and compared layer by layer.
    """
    console, checkpoint = given.console(), given["checkpoint"]
    if checkpoint is None:
        raise UserError(
            "which checkpoint? For example: qat export --checkpoint "
            "runs/calibrate/resnet_w8a8_ptq-001/checkpoints/best.pt"
        )
    from qat_cli.commands.views.proof import show_proof
    from qat_cli.engine import export_checkpoint, keep_freed_memory

    keep_freed_memory()
    proven = export_checkpoint(checkpoint, given["out"], given["opset"], given.options, console)
    show_proof("export", checkpoint, proven, console)
    if not proven.holds:
        raise WorkFailed(f"{proven.path} is not the network of {checkpoint}: see the rows above")
