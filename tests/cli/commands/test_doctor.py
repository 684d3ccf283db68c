"""``qat doctor``."""

import json

import pytest
import typer
from typer.testing import CliRunner

from qat import config
from qat.ops.native import load as native
from qat_cli.commands import doctor as doctor_file
from qat_cli.commands.doctor import doctor, examine


@pytest.fixture
def invoke():
    app = typer.Typer()
    app.command()(doctor)
    return lambda *line: CliRunner().invoke(app, list(line), catch_exceptions=False)


def test_every_flag_is_shown_with_its_value_and_origin(invoke):
    flags = json.loads(invoke("--json").stdout)["flags"]
    assert {flag["name"]: flag["value"] for flag in flags} == {
        name: source.value for name, source in config.flag_sources().items()
    }
    assert all(flag["origin"] for flag in flags)


def test_the_report_says_what_is_there_and_why(invoke):
    document = json.loads(invoke("--json").stdout)
    assert document["packages"]["torch"]
    assert document["cuda"]["reason"]
    assert document["backend"]["active"] in ("python", "native")
    assert document["backend"]["reason"]
    assert document["threads"]["intra_op"] >= 1


def test_the_text_names_every_subject(invoke):
    result = invoke()
    assert result.exit_code == 0
    for subject in ("python", "torch", "cuda", "compiler", "ninja", "backend", "cache", "QAT_JIT"):
        assert subject in result.stdout


def test_a_machine_without_a_compiler_is_told_so(invoke, monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "none: no C++ compiler" in invoke().stdout


def test_a_failed_build_is_reported_with_its_reason_and_exit_code_0(invoke, monkeypatch):
    failed = native.LoadResult(library=None, failure="no C++ compiler")
    monkeypatch.setattr(native, "load", lambda: failed)
    # With the JIT on the ops would be registered by Python, beside those that tests before loaded.
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    result = invoke("--build")
    assert result.exit_code == 0
    assert " s: no C++ compiler" in result.stdout


def test_a_build_is_timed_and_its_library_named(invoke, monkeypatch, tmp_path):
    built = native.LoadResult(library=tmp_path / "qat_native.so", failure="")
    monkeypatch.setattr(native, "load", lambda: built)
    build = json.loads(invoke("--build", "--json").stdout)["build"]
    assert build["library"] == str(tmp_path / "qat_native.so")
    assert build["seconds"] >= 0
    assert build["failure"] is None


def test_what_auto_gives_is_said_and_needs_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr("qat_cli.engine.machine.backend.flags_from_environment", list)
    monkeypatch.setattr(doctor_file, "_cuda", lambda: {"available": False})
    found = {"path": "c++", "version": "1", "reason": None}
    monkeypatch.setattr(doctor_file, "_compiler", lambda: found)
    monkeypatch.setattr(doctor_file, "_ninja", lambda: found)
    assert examine()["training"]["backend"] == "native"
    missing = {"path": None, "version": None, "reason": "no C++ compiler found"}
    monkeypatch.setattr(doctor_file, "_compiler", lambda: missing)
    assert examine()["training"] == {"backend": "python", "reason": "auto, no C++ compiler found"}
    monkeypatch.setattr(
        "qat_cli.engine.machine.backend.flags_from_environment", lambda: ["QAT_JIT=0"]
    )
    assert "the environment decides (QAT_JIT=0)" in examine()["training"]["reason"]


def test_nothing_is_built_unless_asked_for(monkeypatch):
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(native, "load", lambda: pytest.fail("built"))
    assert "build" not in examine()
