import io
import json

import pytest

from qat_cli.console import Console, write_table


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


def test_a_table_on_a_terminal_keeps_square_brackets():
    stream = Terminal()
    write_table("", ["shape"], [["[64, 3]"]], stream)
    assert "[64, 3]" in stream.getvalue()


def test_no_colour_code_reaches_a_file(capsys):
    Console().error("broken")
    assert capsys.readouterr().err == "error: broken\n"
