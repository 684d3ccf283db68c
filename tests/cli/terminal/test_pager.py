"""Which pager is used, and what happens where there is none."""

import pytest

from qat_cli.terminal import pager


@pytest.mark.parametrize(
    ("value", "command"),
    [
        ("less -i", ["less", "-i"]),
        ("'my pager' -x", ["my pager", "-x"]),
        ("cat", []),
        ("", []),
    ],
)
def test_the_variable_pager_decides(monkeypatch, value, command):
    monkeypatch.setenv("PAGER", value)
    assert pager.pager_command() == command


def test_the_first_that_is_installed_is_used_by_default(monkeypatch):
    monkeypatch.delenv("PAGER", raising=False)
    monkeypatch.setattr(pager.shutil, "which", lambda name: "/bin/more" if name == "more" else None)
    assert pager.pager_command() == ["more"]


def test_without_any_pager_the_text_is_written_as_it_is(monkeypatch, capsys):
    monkeypatch.setenv("PAGER", "/no/such/pager")
    pager.show("a\nb\nc\n", height=2)
    assert capsys.readouterr().out == "a\nb\nc\n"


def test_a_reader_that_leaves_early_is_no_error(monkeypatch, capsys):
    monkeypatch.setenv("PAGER", "true")  # reads nothing
    pager.show("line\n" * 100_000, height=2)
    assert capsys.readouterr().out == ""
