"""The two streams of a command: log and answer."""

import io
import json
import sys

import pytest

from qat_cli.terminal.console import Console, write_table


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_under_json_standard_output_is_one_document_and_nothing_else(capsys):
    console = Console(json_output=True)
    console.info("starting")
    console.warn("slow")
    console.table("layers", ["name"], [["conv"]])
    console.emit({"top1": 97.5}, lambda: console.out("97.5 %"))
    written = capsys.readouterr()
    assert json.loads(written.out) == {"top1": 97.5}
    assert "starting\nwarning: slow\nlayers\n" in written.err


def test_without_json_the_answer_is_text(capsys):
    console = Console()
    console.emit({"top1": 97.5}, lambda: console.out("97.5 %"))
    assert capsys.readouterr().out == "97.5 %\n"


def test_a_number_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Console(json_output=True).print_json({"loss": float("nan")})


def test_a_table_outside_a_terminal_is_aligned_plain_text():
    stream = io.StringIO()
    write_table("title", ["name", "bits"], [["conv1", 8], ["fc", "-"]], stream)
    assert stream.getvalue().splitlines() == [
        "title",
        "name   bits",
        "-----  ----",
        "conv1  8",
        "fc     -",
    ]


def test_a_table_on_a_terminal_is_folded_to_its_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    write_table("", ["name", "text"], [["[64, 3]", "word " * 20]], stream)
    lines = stream.getvalue().splitlines()
    assert "[64, 3]" in lines[2] and max(map(len, lines)) <= 30


def test_no_colour_code_reaches_a_file(capsys):
    Console().error("broken")
    assert capsys.readouterr().err == "error: broken\n"


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)],
    ids=["xterm", "dumb", "no-color"],
)
def test_an_error_is_coloured_only_where_the_terminal_has_and_the_user_wants_it(
    monkeypatch, variables, coloured
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    Console().error("broken")
    assert ("\x1b[" in terminal.getvalue()) is coloured


def test_a_quiet_console_logs_warnings_and_errors_only(capsys):
    console = Console(quiet=True)
    console.info("starting")
    console.table("layers", ["name"], [["conv"]])
    console.warn("slow")
    console.error("broken")
    console.out("97.5 %")
    written = capsys.readouterr()
    assert written.err == "warning: slow\nerror: broken\n"
    assert written.out == "97.5 %\n"


@pytest.mark.parametrize(("lines", "paged"), [(3, False), (30, True)], ids=["fits", "does-not"])
def test_a_long_answer_goes_through_the_pager_where_it_does_not_fit(
    monkeypatch, tmp_path, lines, paged
):
    seen = tmp_path / "seen"
    monkeypatch.setenv("PAGER", f"tee {seen}")
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setattr(sys, "stdout", Terminal())
    console = Console()
    text = "\n".join(map(str, range(lines)))
    console.emit_long([], lambda: console.out(text))
    assert seen.exists() is paged
    if paged:
        assert seen.read_text() == f"{text}\n"
    else:
        assert sys.stdout.getvalue() == f"{text}\n"


def test_a_long_answer_is_not_paged_in_a_pipe_or_as_json(monkeypatch, capsys):
    monkeypatch.setenv("PAGER", "false")  # would swallow the text
    monkeypatch.setenv("LINES", "2")
    text = "\n".join("abc")
    console = Console()
    console.emit_long([], lambda: console.out(text))
    assert capsys.readouterr().out == f"{text}\n"
    monkeypatch.setattr(sys, "stdout", Terminal())
    Console(json_output=True).emit_long(["a", "b", "c"], lambda: None)
    assert json.loads(sys.stdout.getvalue()) == ["a", "b", "c"]
