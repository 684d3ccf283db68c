"""``qat train`` with phases: said, done, and the same when resumed."""

import csv
import json
import re
import signal
from functools import partial

import pytest
import torch
from typer.testing import CliRunner

from qat_cli.engine.run import training
from qat_cli.engine.step import step as step_module
from qat_cli.engine.tasks import train
from qat_cli.errors import WorkFailed
from qat_cli.main import app

QUANTIZED = (
    "quant={weight: {quantizer: Int8WeightPerChannelFloatMSE, bit_width: 2}, "
    "input: {quantizer: Int8ActPerTensorFloat, collect_stats_steps: 4}, "
    "activation: {quantizer: Uint8ActPerTensorFloat, bit_width: 2, collect_stats_steps: 4}, "
    "rules: [{match: {position: first}, weight: {bit_width: 8}}]}"
)
PHASES = (
    "schedule={float_epochs: 1, freeze_batch_norm_epoch: 3, freeze_scales_epoch: 4, bit_widths: "
    "[{epoch: 0, weight: 8, activation: 8}, {epoch: 2, weight: 4, activation: 4}, {epoch: 3}]}"
)

BASE = ["train", "--recipe"]
CHANGES = [QUANTIZED, "--batch-size", "700", "--lr", "0.1"]


def checkpoint(run, name="last"):
    return torch.load(run / "checkpoints" / f"{name}.pt", weights_only=True)


def phase_lines(result):
    return re.findall(r"^epoch \d+: .*", result.stderr, re.MULTILINE)


@pytest.fixture
def quantized(tiny_recipe):
    """Arguments of a run on two optimizer steps an epoch."""
    return [*BASE, tiny_recipe, *CHANGES]


@pytest.fixture
def watched(monkeypatch):
    """Call ``look(model)`` before every validation, and before the best epoch is tested."""
    return partial(watch, monkeypatch)


def watch(patch, look):
    looks = []
    measure = training.evaluate

    def evaluate(model, *arguments, **keywords):
        looks.append(look(model))
        return measure(model, *arguments, **keywords)

    for module in (training, train):
        patch.setattr(module, "evaluate", evaluate)
    return looks


@pytest.fixture(scope="module")
def phased(tmp_path_factory, tiny_text):
    """The result of a run through all phases, and the model before each measurement of it."""
    folder = tmp_path_factory.mktemp("phased")
    (folder / "tiny.yaml").write_text(tiny_text)
    arguments = [*BASE, "tiny.yaml", *CHANGES, PHASES, "--epochs", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        looks = watch(patch, lambda model: (bits(model), numbers(model)))
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    return result, looks


def numbers(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def bits(model):
    found = [model.conv1.weight_quant, model.linear.weight_quant, model.relu.act_quant]
    return [None if each.bit_width() is None else int(each.bit_width()) for each in found]


def test_every_change_of_phase_is_one_line(phased):
    result, _ = phased
    assert phase_lines(result) == [
        "epoch 1: float warm-up, quantizers off",
        "epoch 1: bit widths: weights at least 8, activations at least 8",
        "epoch 2: quantizers on, made from the weights as they are now",
        "epoch 2: statistics of activations for 4 batches, then scales are learned",
        "epoch 3: bit widths: weights at least 4, activations at least 4",
        "epoch 3: statistics of activations for 2 batches, then scales are learned",
        "epoch 3: statistics over, scales are learned",
        "epoch 4: bit widths: weights as declared, activations as declared",
        "epoch 4: batch norm frozen",
        "epoch 5: scales frozen",
    ]


def test_bit_widths_go_down_to_those_declared_and_quantizers_are_off_before(phased):
    _, looks = phased
    assert [widths for widths, _ in looks] == [
        [None] * 3,
        [8, 8, 8],
        [8, 4, 4],
        [8, 2, 2],
        [8, 2, 2],
        [8, 2, 2],
    ]


def test_what_is_frozen_stays_and_the_rest_goes_on(phased):
    _, looks = phased
    _, _, third, fourth, fifth, _ = (state for _, state in looks)

    def is_same(before, after, part):
        names = [name for name in before if part in name]
        assert names
        return all(torch.equal(before[name], after[name]) for name in names)

    assert is_same(third, fourth, "running_mean") and is_same(fourth, fifth, "running_mean")
    assert is_same(fourth, fifth, "scaling_impl")
    assert not is_same(third, fourth, "scaling_impl")
    assert not is_same(fourth, fifth, "conv1.weight") and not is_same(fourth, fifth, "bn1.weight")


def test_scales_are_made_from_the_weights_that_the_float_warm_up_trained(qat, quantized, watched):
    def first_scales(model):
        proxy = model.linear.weight_quant
        kept = proxy.tensor_quant.scaling_impl.value
        before = kept.detach().clone()
        proxy.init_tensor_quant()  # from the weights as they are
        made = kept.detach().clone()
        with torch.no_grad():
            kept.copy_(before)
        return before, made

    looks = watched(first_scales)
    arguments = ["schedule.float_epochs=1", "optimizer.scale_lr=1e-12", "--epochs", "2"]
    assert qat(*quantized, *arguments).exit_code == 0
    (start, trained), (used, _), _ = looks
    assert not torch.equal(start, trained)
    torch.testing.assert_close(used, trained)


# Two steps an epoch. A stop saves where it is; after a crash the last epoch's end is gone back to.
# Steps count from each resumption: in steps 3, 4, 5, 7 and 9 of the run.
LEFT = [("crash", 3), ("stop", 2), ("crash", 1), ("stop", 3), ("crash", 2)]


def test_a_run_left_in_every_phase_is_measured_right_and_ends_as_if_it_had_never_been(
    qat, qat_json, quantized, tmp_path, monkeypatch
):
    arguments = [*quantized, PHASES, "--epochs", "5"]
    assert qat(*arguments, "--out", "whole").exit_code == 0
    steps, resume = arguments, ["train", "--resume"]
    for how, step in LEFT:
        with monkeypatch.context() as patch:
            patch.setattr(step_module, "clamp_latent", leaving(how, step))
            left = qat(*steps, "--out", "left")
        assert left.exit_code == (130 if how == "stop" else 1)
        if how == "crash":  # measured as it was trained: in float, at 8 bits, at 2
            last = tmp_path / "left" / "checkpoints" / "last.pt"
            assert qat_json("eval", "--checkpoint", last, "--split", "val")["matches_recorded"]
        steps = resume
    assert qat(*resume, "--out", "left").exit_code == 0
    check_equal(tmp_path / "left", tmp_path / "whole")


def test_a_run_with_an_average_of_the_weights_is_resumed_over_a_change_of_bit_widths(
    qat, quantized, tmp_path, monkeypatch
):
    arguments = [*quantized, PHASES, "--epochs", "5", "train.ema_decay=0.5"]
    assert qat(*arguments, "--out", "whole").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(step_module, "clamp_latent", leaving("crash", 5))
        assert qat(*arguments, "--out", "crash").exit_code == 1
    assert qat("train", "--resume", "--out", "crash").exit_code == 0
    check_equal(tmp_path / "crash", tmp_path / "whole")


def check_equal(run, other):
    found, expected = checkpoint(run), checkpoint(other)
    assert list(found["weights"]) == list(expected["weights"])
    assert all(torch.equal(found["weights"][k], t) for k, t in expected["weights"].items())
    assert found["metrics"] == expected["metrics"]


def leaving(how, step):
    """A stand-in for the last act of a step that leaves the run in step number ``step``."""
    steps = []

    def clamp(*arguments):
        steps.append(None)
        if len(steps) == step and how == "stop":
            signal.raise_signal(signal.SIGINT)
        elif len(steps) == step:
            raise WorkFailed("left")

    return clamp


def test_only_epochs_quantized_as_declared_can_be_the_best_or_stop_the_run(
    qat, qat_json, quantized, tmp_path
):
    # A rate of next to 0 after the float epochs: wherever the run is, it gets no better.
    early = ["train.early_stopping_patience=1", "--lr", "1e-12", "--epochs", "9"]
    steps = "schedule.bit_widths=[{epoch: 0, weight: 8}, {epoch: 3, weight: 2}]"
    document = qat_json(*quantized, *early, "schedule.float_epochs=2", steps, "--out", "out")
    assert document["best_epoch"] >= 4 and document["epochs_trained"] >= 5
    assert checkpoint(tmp_path / "out", "best")["metrics"]["epoch"] == document["best_epoch"]
    checked = qat("eval", "--checkpoint", "out/checkpoints/best.pt")
    assert "exactly the figures recorded" in checked.stdout


def test_a_binary_network_is_reached_over_wider_integers(qat, tiny_recipe, tmp_path, watched):
    looks = watched(lambda model: [*bits(model), model.linear.weight.abs().max().item()])
    result = qat(
        "train", "--recipe", tiny_recipe, "--batch-size", "700", "--epochs", "4", "--out", "out",
        "quant={weight: {quantizer: SignedBinaryWeightPerChannelParam}, "
        "activation: {quantizer: SignedBinaryActPerTensorParam, collect_stats_steps: 2}}",
        "schedule.bit_widths=[{epoch: 0, weight: 8, activation: 8}, "
        "{epoch: 1, weight: 4, activation: 4}, {epoch: 2, weight: 2, activation: 2}, "
        "{epoch: 3, weight: 1, activation: 1}]", "train.latent_clip=0.01",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert [look[:3] for look in looks] == [[b] * 3 for b in (8, 4, 2, 1, 1)]
    # latent weights are those of one bit: wider ones are not clamped
    assert looks[2][3] > 0.05 and looks[3][3] == pytest.approx(0.01)
    checked = qat("eval", "--checkpoint", "out/checkpoints/best.pt")
    assert "exactly the figures recorded" in checked.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["schedule.float_epochs=2"], "no epoch is left that is quantized as quant says"),
        (["schedule.bit_widths=[{epoch: 1, weight: 4}]"], "the first step must be at 0"),
        (["schedule.bit_widths=[{epoch: 0, weight: 4}, {epoch: 1, weight: 8}]"], "widths go down"),
        (["schedule.bit_widths=[{epoch: 0, weight: 8}]"], "quant declares 2, at "),
        (["schedule.bit_widths=[{epoch: 0, activation: 2}]"], "quant declares 2, at "),
        (["schedule.freeze_scales_epoch=0"], "scales are made at epoch 0"),
        (["quant=null", "schedule.float_epochs=1"], "schedule.float_epochs is set but quant"),
        (
            ["quant.weight={quantizer: IRNetWeight}", "quant.rules=[]",
             "schedule.bit_widths=[{epoch: 0, weight: 4}, {epoch: 1}]"],
            "conv1.weight_quant: IRNetWeight has 1 bits",
        ),
        (
            ["quant.weight={quantizer: Int8WeightPerChannelFloat, bit_width: 4, "
             "bit_width_impl_type: parameter}",
             "schedule.bit_widths=[{epoch: 0, weight: 8}, {epoch: 1}]"],
            "learns its bit width",
        ),
        (
            ["quant.activation={quantizer: Int8ActPerTensorFloat, bit_width: 1}",
             "schedule.bit_widths=[{epoch: 0, activation: 8}, {epoch: 1}]"],
            "declare a binary quantizer",
        ),
    ],
)  # fmt: skip
def test_phases_that_do_not_fit_are_refused_with_what_to_do(qat, quantized, changes, message):
    result = qat(*quantized, *changes)
    assert result.exit_code == 2
    assert message in result.stderr and "Traceback" not in result.stderr


def test_phases_are_explained(qat_json):
    for key in ("float_epochs", "bit_widths.N.weight", "freeze_scales_epoch", "start_factor"):
        assert len(qat_json("explain", f"schedule.{key}")["meaning"]) > 30


def test_a_larger_penalty_ends_with_fewer_bits_and_says_so(qat, tiny_recipe, tmp_path):
    learned = (
        "quant={weight: {quantizer: Int8WeightPerChannelFloat, bit_width_impl_type: parameter}, "
        "activation: {quantizer: Uint8ActPerTensorFloat, bit_width_impl_type: parameter, "
        "collect_stats_steps: 2}}"
    )
    ends = []
    for penalty in ("0.01", "1.0"):
        result = qat(
            "train", "--recipe", tiny_recipe, learned, "optimizer.bit_width_lr=1", "--out", penalty,
            f"train.bit_width_penalty={penalty}", "train.bit_width_weighting=macs",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        summary = json.loads((tmp_path / penalty / "summary.json").read_text())
        rows = list(csv.DictReader((tmp_path / penalty / "metrics.csv").read_text().splitlines()))
        best = rows[summary["best_epoch"] - 1]
        assert float(best["weight_bits"]) == pytest.approx(summary["weight_bits"], rel=1e-5)
        assert "bit widths as learned" in result.stderr and "  bits " in result.stderr
        assert set(summary["bit_widths"]) >= {"conv1.weight_quant", "relu.act_quant"}
        ends.append((float(rows[-1]["weight_bits"]), float(rows[-1]["activation_bits"])))
    assert ends[1][0] < ends[0][0] - 1 and ends[1][1] < ends[0][1] - 1
