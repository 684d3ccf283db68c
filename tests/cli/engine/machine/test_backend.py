"""Which backend a command runs its quantizers on."""

import pytest
import torch

from qat import config, jit
from qat.ops.native import load as native
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.errors import UserError
from qat_cli.recipes import recipe_from_tree
from qat_cli.terminal.console import Console

CPU = torch.device("cpu")
WEIGHT = {"weight": {"quantizer": "Int8WeightPerTensorFloat"}}


def recipe(backend="auto", quant=WEIGHT):
    train = {"backend": backend}
    return recipe_from_tree(
        {"name": "r", "model": {"name": "resnet20"}, "quant": quant, "train": train}, "test"
    )


def flags():
    return config.JIT_ENABLED, config.NATIVE_STE_BACKEND_ENABLED


@pytest.fixture(autouse=True)
def no_flag_is_set(monkeypatch):
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)


@pytest.fixture
def no_library(monkeypatch):
    """As on a machine without a compiler."""
    failed = native.LoadResult(library=None, failure="no C++ compiler found")
    monkeypatch.setattr(native, "load", lambda: failed)


@pytest.fixture
def a_library(monkeypatch, tmp_path):
    """As on a machine with a compiler; nothing is compiled and nothing may be run."""
    monkeypatch.setattr(native, "load", lambda: native.LoadResult(tmp_path / "lib.so", ""))


@pytest.fixture
def environment(monkeypatch):
    """Flags as they are read from the environment when the process starts."""

    def set_variable(flag, variable, value):
        source = config.FlagSource(flag, value, variable, f"environment {variable}={int(value)}")
        monkeypatch.setitem(config._own, flag, source)
        for name, is_set in config._effective_values().items():
            monkeypatch.setitem(config.__dict__, name, is_set)

    return set_variable


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("auto", (False, True)), ("python", (False, False)), ("native", (False, True))],
)
def test_the_flags_are_those_of_the_backend_and_are_restored(a_library, asked, expected, capsys):
    with chosen_backend(recipe(asked), CPU, Console()):
        assert flags() == expected
        assert backend_in_use(recipe()) == ("native" if expected[1] else "python")
    assert flags() == (False, False)
    assert f"backend {'native' if expected[1] else 'python'}: " in capsys.readouterr().err


@pytest.mark.skipif(not jit.is_available(), reason="this torch has no TorchScript, or it is off")
def test_jit_is_on_inside_and_off_again_after_an_error(a_library, capsys):
    with pytest.raises(ZeroDivisionError), chosen_backend(recipe("jit"), CPU, Console()):
        assert flags() == (True, True) and backend_in_use(recipe()) == "jit"
        raise ZeroDivisionError
    assert flags() == (False, False)


def test_flags_that_were_on_before_are_on_again_each_by_itself(a_library, monkeypatch):
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    with chosen_backend(recipe("python"), CPU, Console()):
        assert flags() == (False, False)
    assert flags() == (True, True)
    config.JIT_ENABLED = False
    assert flags() == (False, False)  # the other one was only forced


def test_auto_says_why_it_is_python(no_library, capsys):
    with chosen_backend(recipe(), CPU, Console()):
        assert flags() == (False, False)
    assert "backend python: auto" in (said := capsys.readouterr().err)
    assert "no C++ compiler found" in said


def test_auto_compiles_nothing_for_another_device_than_a_cpu(monkeypatch, capsys):
    monkeypatch.setattr(native, "load", lambda: pytest.fail("built"))
    with chosen_backend(recipe(), torch.device("cuda"), Console()):
        assert flags() == (False, False)
    assert "backend python: auto, on device cuda" in capsys.readouterr().err


def test_nothing_is_compiled_or_said_for_a_float_model(monkeypatch, capsys):
    monkeypatch.setattr(native, "load", lambda: pytest.fail("built"))
    with chosen_backend(recipe("native", quant=None), CPU, Console()):
        assert backend_in_use(recipe(quant=None)) is None
    assert capsys.readouterr().err == ""


def test_native_by_name_where_it_cannot_be_built_is_an_error(no_library):
    with (
        pytest.raises(UserError, match=r"no C\+\+ compiler found\. .*--backend auto"),
        chosen_backend(recipe("native"), CPU, Console()),
    ):
        pytest.fail("entered")
    assert flags() == (False, False)


def test_jit_by_name_without_torchscript_is_an_error(monkeypatch):
    monkeypatch.setattr(jit, "is_available", lambda: False)
    with (
        pytest.raises(UserError, match="has no TorchScript .*--backend auto"),
        chosen_backend(recipe("jit"), CPU, Console()),
    ):
        pytest.fail("entered")


@pytest.mark.parametrize("value", [True, False], ids=["on", "off"])
def test_a_variable_of_the_environment_decides(a_library, environment, capsys, value):
    environment("NATIVE_STE_BACKEND_ENABLED", "QAT_NATIVE_STE_BACKEND", value)
    with chosen_backend(recipe("python" if value else "native"), CPU, Console()):
        assert flags() == (False, value)
    said = capsys.readouterr().err
    assert f"the environment decides (QAT_NATIVE_STE_BACKEND={int(value)})" in said
    assert "has no effect while QAT_NATIVE_STE_BACKEND" in said
    assert config.flag_sources()["NATIVE_STE_BACKEND_ENABLED"].origin.startswith("environment")


def test_a_variable_that_asks_for_what_cannot_be_built_is_a_warning(
    no_library, environment, capsys
):
    environment("NATIVE_STE_BACKEND_ENABLED", "QAT_NATIVE_STE_BACKEND", True)
    with chosen_backend(recipe(), CPU, Console()):
        assert backend_in_use(recipe()) == "python"
    said = capsys.readouterr().err
    assert "warning: backend: native requested" in said and "no C++ compiler found" in said


def test_the_library_saying_that_it_compiles_is_shown(monkeypatch, tmp_path, capsys):
    import logging

    def load():
        logging.getLogger("qat").info("compiling %s", "lib.so")
        return native.LoadResult(tmp_path / "lib.so", "")

    monkeypatch.setattr(native, "load", load)
    with chosen_backend(recipe(), CPU, Console()):
        pass
    assert capsys.readouterr().err.splitlines() == [
        "compiling lib.so",
        "backend native: auto, compiled C++ on the CPU",
    ]
    assert not logging.getLogger("qat").handlers
