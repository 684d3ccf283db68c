"""Running scripts: exit codes, crashes, the file of results."""

import json

import pytest
import torch

from benchmarks import run_all, script
from benchmarks.rows import Row, failed_row
from benchmarks.script import Options

MET = Row("work", goal=1.3, figure=1.2)
MISSED = Row("work", goal=1.3, figure=1.4)


@pytest.fixture
def main(monkeypatch, tmp_path):
    """Run the whole command, with given rows in place of those of the scripts."""

    def run(*rows):
        monkeypatch.setattr(run_all, "run_all", lambda scripts, options: list(rows))
        monkeypatch.setattr(run_all, "describe", lambda options: {"cpu": "one"})
        code = run_all.main(["--out", str(tmp_path / "results.json")])
        return code, json.loads((tmp_path / "results.json").read_text())

    return run


def test_exit_code_is_0_when_every_goal_is_met(main):
    code, results = main(MET)

    assert code == 0
    assert results["machine"] == {"cpu": "one"}
    assert [row["met"] for row in results["rows"]] == [True]


@pytest.mark.parametrize("bad", [MISSED, failed_row("work", "it broke")], ids=["missed", "failed"])
def test_exit_code_is_1_when_a_row_misses_or_fails(main, bad):
    code, results = main(MET, bad)

    assert code == 1
    assert [row["met"] for row in results["rows"]] == [True, False]


def test_a_script_that_crashes_is_a_failed_row_with_its_last_words():
    (row,) = run_all.run_script("benchmarks.no_such_script", Options())

    assert row.verdict == "FAILED"
    assert "no_such_script" in row.error


def test_the_rows_of_a_script_come_from_its_own_process():
    rows = run_all.run_script("benchmarks.saved_bytes", Options(backend="python", quick=True))

    assert [row.unit for row in rows] == ["bytes", "bytes"]
    assert all(row.error is None and row.figure >= 4 for row in rows)


def test_every_script_has_a_row_to_measure():
    import importlib

    for name in run_all.SCRIPTS:
        assert callable(importlib.import_module(f"benchmarks.{name}").measure)


def test_the_options_of_a_run_reach_its_scripts(tmp_path, monkeypatch, flags_and_threads):
    options = Options(backend="python", quick=True, data=tmp_path, oracle=tmp_path / "oracle")
    seen = []

    def measure(options):
        seen.append(options)
        return [MET]

    script.run(measure, "", run_all._arguments(options))

    assert seen == [options]


def test_a_script_prints_its_rows_and_writes_them(tmp_path, capsys, flags_and_threads):
    script.run(lambda options: [MISSED], "", ["--json", str(tmp_path / "rows.json")])

    assert "MISSED" in capsys.readouterr().out
    assert [row["figure"] for row in json.loads((tmp_path / "rows.json").read_text())] == [1.4]


def test_quick_takes_fewer_rounds_but_at_least_three():
    assert Options().rounds(60) == 60
    assert Options(quick=True).rounds(60) == 12
    assert Options(quick=True).rounds(5) == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(SystemExit, match="finds no GPU"):
        script.run(lambda options: [MET], "", ["--device", "cuda"])


@pytest.fixture
def flags_and_threads(monkeypatch):
    """What a script sets for its own process is put back."""
    from qat import config

    threads = torch.get_num_threads()
    monkeypatch.setattr(config, "JIT_ENABLED", config.JIT_ENABLED)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", config.NATIVE_STE_BACKEND_ENABLED)
    yield
    torch.set_num_threads(threads)
