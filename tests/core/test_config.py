"""Flags through the environment and at run time."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from qat import config

FLAGS = {
    "JIT_ENABLED": ("JIT", False),
    "IGNORE_MISSING_KEYS": ("IGNORE_MISSING_KEYS", False),
    "VERBOSE": ("VERBOSE", False),
    "NATIVE_STE_BACKEND_ENABLED": ("NATIVE_STE_BACKEND", False),
    "REINIT_ON_STATE_DICT_LOAD": ("REINIT_ON_STATE_DICT_LOAD", True),
}

# The file is loaded by its path, so that the test speaks of this module alone.
LOAD = """
    import importlib.util, json, sys
    spec = importlib.util.spec_from_file_location("config", sys.argv[1])
    config = importlib.util.module_from_spec(spec)
    sys.modules["config"] = config
    spec.loader.exec_module(config)
"""


def in_new_process(code: str, **variables: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("QAT_", "BREVITAS_"))}
    program = textwrap.dedent(LOAD) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", program, str(Path(config.__file__))],
        env={**clean, **variables},
        capture_output=True,
        text=True,
    )


def flags_in_new_process(**variables: str) -> dict[str, list]:
    code = """
        sources = config.flag_sources()
        print(json.dumps({n: [getattr(config, n), s.origin] for n, s in sources.items()}))
    """
    done = in_new_process(code, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def restored_flags():
    before = dict(config._own)
    yield
    for name, source in before.items():
        setattr(config, name, source.value)
    config._own.update(before)


def test_defaults_hold_where_no_variable_is_set():
    flags = flags_in_new_process()
    assert flags == {name: [default, "default"] for name, (_, default) in FLAGS.items()}


@pytest.mark.parametrize("name", FLAGS)
def test_variable_sets_its_flag_and_no_other(name):
    suffix, default = FLAGS[name]
    text = "0" if default else "1"
    flags = flags_in_new_process(**{f"QAT_{suffix}": text})
    assert flags[name] == [not default, f"environment QAT_{suffix}={text}"]
    forced = {"NATIVE_STE_BACKEND_ENABLED"} if name == "JIT_ENABLED" else set()
    for other in FLAGS.keys() - {name} - forced:
        assert flags[other] == [FLAGS[other][1], "default"]


@pytest.mark.parametrize("name", FLAGS)
def test_brevitas_spelling_is_read_where_ours_is_unset(name):
    suffix, default = FLAGS[name]
    text = "off" if default else "on"
    flags = flags_in_new_process(**{f"BREVITAS_{suffix}": text})
    assert flags[name] == [not default, f"environment BREVITAS_{suffix}={text}"]


def test_our_spelling_wins_over_that_of_brevitas():
    flags = flags_in_new_process(QAT_VERBOSE="0", BREVITAS_VERBOSE="1")
    assert flags["VERBOSE"] == [False, "environment QAT_VERBOSE=0"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), ("Yes", True), ("oN", True)]
    + [("0", False), ("False", False), ("NO", False), ("off", False)],
)
def test_words_are_read_in_any_case(text, value, monkeypatch):
    monkeypatch.setenv("QAT_VERBOSE", text)
    assert config._from_environment(config._own["VERBOSE"]).value is value


def test_empty_variable_counts_as_unset():
    flags = flags_in_new_process(QAT_VERBOSE="", BREVITAS_VERBOSE="1")
    assert flags["VERBOSE"] == [True, "environment BREVITAS_VERBOSE=1"]


@pytest.mark.parametrize("variable", ["QAT_JIT", "BREVITAS_JIT"])
def test_other_text_is_an_error_that_names_variable_value_and_what_is_allowed(variable):
    done = in_new_process("", **{variable: "maybe"})
    assert done.returncode != 0
    assert f"ValueError: environment variable {variable}='maybe' is not a boolean" in done.stderr
    assert "1, true, yes, on, 0, false, no, off" in done.stderr


def test_import_does_not_bring_in_torch():
    done = in_new_process("print('torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", FLAGS)
def test_flag_is_a_real_bool_settable_at_run_time(name):
    config.JIT_ENABLED = False
    for value in (True, False):
        setattr(config, name, value)
        assert getattr(config, name) is value
        assert config.flag_sources()[name].origin == "set at run time"
        assert config.flag_sources()[name].value is value


@pytest.mark.parametrize("value", [1, 0, "1", None])
@pytest.mark.parametrize("name", FLAGS)
def test_setting_anything_but_a_bool_is_refused(name, value):
    before = getattr(config, name)
    with pytest.raises(TypeError, match=f"qat.config.{name} must be True or False"):
        setattr(config, name, value)
    assert getattr(config, name) is before


@pytest.mark.parametrize("own", [True, False])
def test_jit_forces_native_and_gives_back_its_own_value(own):
    config.NATIVE_STE_BACKEND_ENABLED = own
    config.JIT_ENABLED = True
    assert config.NATIVE_STE_BACKEND_ENABLED is True
    assert config.flag_sources()["NATIVE_STE_BACKEND_ENABLED"].origin == "forced by JIT_ENABLED"
    config.JIT_ENABLED = False
    assert config.NATIVE_STE_BACKEND_ENABLED is own


def test_native_set_to_false_under_the_jit_waits_until_the_jit_is_off():
    config.NATIVE_STE_BACKEND_ENABLED = True
    config.JIT_ENABLED = True
    config.NATIVE_STE_BACKEND_ENABLED = False
    assert config.NATIVE_STE_BACKEND_ENABLED is True
    config.JIT_ENABLED = False
    assert config.NATIVE_STE_BACKEND_ENABLED is False


def test_jit_variable_forces_native():
    flags = flags_in_new_process(QAT_JIT="1", QAT_NATIVE_STE_BACKEND="0")
    assert flags["NATIVE_STE_BACKEND_ENABLED"] == [True, "forced by JIT_ENABLED"]


def test_flag_read_in_a_compiled_function_is_live():
    import torch

    config.VERBOSE = False
    compiled = torch.compile(
        lambda x: x + 1 if config.VERBOSE else x, fullgraph=True, backend="eager"
    )
    assert compiled(torch.zeros(1)).item() == 0
    config.VERBOSE = True
    assert compiled(torch.zeros(1)).item() == 1
