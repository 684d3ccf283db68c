"""Loggers of the figures of every epoch."""

import importlib.util
import sys
from typing import get_args

import pytest

from qat_cli.errors import UserError
from qat_cli.recipes.schema import TrainConfig
from qat_cli.report import Loggers, create_run_folder
from qat_cli.report.history import COLUMNS
from qat_cli.report.loggers import LOGGERS, TAGS

HISTORY = [{**dict.fromkeys(COLUMNS, 0.25), "epoch": epoch} for epoch in (1, 2)]


@pytest.fixture
def folder(tmp_path):
    return create_run_folder("train", "r", tmp_path / "run")


def test_every_logger_that_a_recipe_can_name_is_in_the_table():
    assert set(LOGGERS) == set(get_args(TrainConfig.model_fields["logger"].annotation))


def test_the_csv_file_is_always_written(folder):
    loggers = Loggers("none", folder)
    loggers.log_epoch(HISTORY)
    loggers.close()
    assert len(folder.metrics.read_text().splitlines()) == 3
    assert not folder.tensorboard.exists()


def test_every_tag_shows_a_column():
    assert set(TAGS) <= set(COLUMNS)


def test_a_missing_package_is_named_with_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # an import of it fails
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(UserError, match=r"pip install 'qat-cli\[tensorboard\]'"):
        Loggers("tensorboard", folder)


@pytest.fixture
def tensorboard():
    if importlib.util.find_spec("tensorboard") is None:
        pytest.skip("tensorboard is not installed: pip install 'qat-cli[tensorboard]'")


# What tensorboard and the packages it brings warn about is theirs.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_tensorboard_finds_every_epoch_also_after_a_resumption(folder, tensorboard):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs in (1, 2):  # stopped after the first epoch, then resumed
        loggers = Loggers("tensorboard", folder)
        loggers.log_epoch(HISTORY[:epochs])
        loggers.close()
    events = EventAccumulator(str(folder.tensorboard))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(TAGS.values())
    assert [event.step for event in events.Scalars("top1/val")] == [1, 2]
    assert events.Scalars("lr")[0].value == 0.25
