"""Lines that a training run says while it works."""

from __future__ import annotations

from qat_cli.engine.evaluation.metrics import Metrics
from qat_cli.engine.run.state import TrainingState
from qat_cli.report import Row
from qat_cli.terminal.ticker import duration


def step_note(metrics: Metrics, speed: float, images_left: int) -> list[str]:
    """Figures inside an epoch, as notes for a :class:`Ticker`.

    Args:
        metrics: of the epoch so far.
        speed: images per second.
        images_left: to be trained on until the end of the run.
    """
    left = duration(images_left / max(speed, 1e-9))
    return [_figures(metrics.loss, metrics.top1), f"{speed:,.0f} images/s", f"{left} left"]


def epoch_line(state: TrainingState, epochs: int, is_best: bool) -> str:
    """The line of the last finished epoch of ``epochs``."""
    row = state.history[-1]
    left = duration(state.seconds / state.epoch * (epochs - state.epoch))
    return (
        f"epoch {state.epoch:>{len(str(epochs))}}/{epochs}  "
        f"train {_figures(row['train_loss'], row['train_top1'])}  "
        f"val {_figures(row['val_loss'], row['val_top1'])}{' best' if is_best else '     '}  "
        f"{_mean_bits(row)}"
        f"{row['images_per_second']:,.0f} images/s  {left} left"
    )


def test_line(model: str, test: Metrics) -> str:
    """The title of a picture of the test part; ``model`` names the model in a few words."""
    return f"{model}: top-1 {test.top1:.2f} % of {test.images:,} test images"


def _mean_bits(row: Row) -> str:
    """Mean bit widths, where some are learned."""
    if "weight_bits" not in row and "activation_bits" not in row:
        return ""
    weights, activations = (row.get(key) for key in ("weight_bits", "activation_bits"))
    shown = ["-" if bits is None else f"{bits:.2f}" for bits in (weights, activations)]
    return f"bits {shown[0]} / {shown[1]}  "


def _figures(loss: float, top1: float) -> str:
    return f"loss {loss:.4f} top-1 {top1:5.2f} %"
