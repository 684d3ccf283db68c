"""The real command, in processes of its own."""

import json
import os
import resource
import subprocess
import sys

import pytest


def qat(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "qat_cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_help_lists_every_command_with_a_line_of_its_own():
    result = qat("--help")
    assert result.returncode == 0
    for command in (
        "train",
        "calibrate",
        "eval",
        "inspect",
        "recipes",
        "explain",
        "models",
        "datasets",
        "doctor",
    ):
        assert any(line.split()[:1] == [command] for line in result.stdout.splitlines())
    assert "Examples:\n    qat train --recipe binary_resnet" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["calibrate", "--help"],
        ["eval", "--help"],
        ["inspect", "--help"],
        *(["recipes", name, "--help"] for name in ("copy", "validate", "diff", "schema")),
        *([name, "--help"] for name in ("explain", "models", "datasets")),
    ],
)
def test_help_imports_neither_torch_nor_the_library(arguments):
    code = (
        "import sys; sys.argv = ['qat', *sys.argv[1:]]\n"
        "from qat_cli.main import run\n"
        "try: run()\n"
        "except SystemExit: print('torch' in sys.modules, 'qat' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.splitlines()[-1] == "False False"


def test_help_takes_a_small_part_of_the_time_that_importing_torch_takes():
    def processor_seconds(*arguments):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # The best of several, as the machine may be busy with other tests.
    with_help = min(processor_seconds("-m", "qat_cli.main", "--help") for _ in range(3))
    with_torch = processor_seconds("-c", "import torch")
    assert with_help < with_torch / 3


def test_the_library_imports_nothing_heavy_beside_torch():
    code = (
        "import sys, torch\n"
        "before = set(sys.modules)\n"
        "import qat\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    imported = set(result.stdout.split())
    assert "qat" in imported
    assert imported - {"qat", *sys.stdlib_module_names} == set()


def test_no_command_shows_the_help():
    result = qat()
    assert result.returncode == 2
    assert "Commands:" in result.stdout + result.stderr


def test_version_is_one_line():
    result = qat("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("qat ")
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [(["trian"], "'train'"), (["train", "--recipee", "x"], "--recipe")],
    ids=["command", "option"],
)
def test_a_misspelt_word_exits_with_2_and_the_nearest(line, says):
    result = qat(*line)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_flag_that_is_no_boolean_is_a_clear_error():
    result = qat("doctor", QAT_JIT="maybe")
    assert result.returncode == 2
    assert "QAT_JIT='maybe' is not a boolean" in result.stderr
    assert "Traceback" not in result.stderr


def test_json_is_the_only_thing_on_standard_output():
    result = qat("recipes", "list", "--json")
    assert result.returncode == 0
    assert {entry["name"] for entry in json.loads(result.stdout)} >= {"binary_resnet"}
    assert result.stderr == ""
