"""``qat train``: which checkpoints are kept, and which run ``--resume`` means."""

import csv
import json

import pytest
import torch

from qat_cli.app.resume import _with_value


@pytest.fixture
def short(tiny_recipe):
    """Arguments of a run of one epoch."""
    return ["train", "--recipe", tiny_recipe, "--epochs", "1"]


def test_the_best_epochs_are_kept_and_the_others_dropped(qat, tiny_recipe, tmp_path):
    arguments = ["--epochs", "4", "checkpoint.top_k=2", "--out", "out"]
    assert qat("train", "--recipe", tiny_recipe, *arguments).exit_code == 0
    rows = list(csv.DictReader((tmp_path / "out" / "metrics.csv").read_text().splitlines()))
    ranked = sorted(rows, key=lambda row: (-float(row["val_top1"]), float(row["val_loss"])))
    kept = sorted(f"epoch-{int(row['epoch']):03d}.pt" for row in ranked[:2])
    folder = tmp_path / "out" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.pt", *kept, "last.pt"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    best = torch.load(folder / f"epoch-{summary['best_epoch']:03d}.pt", weights_only=True)
    expected = torch.load(folder / "best.pt", weights_only=True)["weights"]
    assert all(torch.equal(best["weights"][key], expected[key]) for key in expected)
    measured = qat("eval", "--checkpoint", folder / kept[0], "--split", "val")
    assert "exactly the figures recorded" in measured.stdout


def test_after_a_crash_the_run_goes_on_from_the_middle_of_the_epoch(
    qat, tiny_recipe, tmp_path, monkeypatch
):
    from qat_cli.engine.step import step

    base = ["train", "--recipe", tiny_recipe, "--epochs", "1", "checkpoint.every_steps=2"]
    assert qat(*base, "--out", "whole").exit_code == 0
    steps = []

    def crash(*arguments):
        steps.append(None)
        if len(steps) == 6:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(step, "clamp_latent", crash)
        assert qat(*base, "--out", "crashed").exit_code == 1
    resumed = qat("train", "--resume", "crashed")
    assert resumed.exit_code == 0, resumed.stderr
    assert "resuming crashed after epoch 0, batch 4" in resumed.stderr
    whole, crashed = (
        torch.load(tmp_path / run / "checkpoints" / "last.pt", weights_only=True)["weights"]
        for run in ("whole", "crashed")
    )
    assert all(torch.equal(whole[key], crashed[key]) for key in whole)


@pytest.mark.parametrize(
    ("line", "spelt_out"),
    [
        ([], []),
        (["--resume"], ["--resume="]),
        (["--resume", "--out", "x"], ["--resume=", "--out", "x"]),
        (["--resume", "optimizer.lr=0.1"], ["--resume=", "optimizer.lr=0.1"]),
        (["--resume", "auto", "--seed", "1"], ["--resume", "auto", "--seed", "1"]),
        (["--resume=runs/a=b"], ["--resume=runs/a=b"]),
    ],
)
def test_the_word_behind_resume_is_its_value_unless_it_is_an_option_or_a_change(line, spelt_out):
    assert list(_with_value(line)) == spelt_out


def test_auto_starts_a_run_where_there_is_none_and_goes_on_with_it_afterwards(qat, short, tmp_path):
    first = qat(*short, "--resume", "auto")
    assert first.exit_code == 0 and "resuming" not in first.stderr
    again = qat(*short, "--resume", "auto")
    assert "resuming runs/train/tiny-001" in again.stderr
    assert not (tmp_path / "runs" / "train" / "tiny-002").exists()
    named = qat(*short, "--resume", "auto", "--out", "named")
    assert named.exit_code == 0 and "resuming" not in named.stderr
    assert "resuming named" in qat(*short, "--resume", "auto", "--out", "named").stderr


@pytest.mark.parametrize("path", ["float", "float/checkpoints/last.pt"])
def test_a_run_is_resumed_by_its_folder_or_its_last_checkpoint(qat, float_weights, path):
    resumed = qat("train", "--resume", path)
    assert resumed.exit_code == 0, resumed.stderr
    assert "resuming float after epoch 4" in resumed.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--resume", "nowhere"], "nowhere does not exist; give the folder of a run"),
        (["--resume", "tiny.yaml"], "is not a checkpoint that a run goes on from"),
        (["--resume", "a", "--out", "b"], "to --resume or to --out, not to both"),
        (["--resume", "auto"], "--resume auto needs --recipe NAME or --out FOLDER"),
    ],
)
def test_a_run_that_is_not_there_is_refused(qat, tiny_recipe, arguments, says):
    result = qat("train", *arguments)
    assert result.exit_code == 2 and says in result.stderr
