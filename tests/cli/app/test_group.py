"""The frame around commands, with commands of its own."""

import errno

import pytest
import typer
from typer.testing import CliRunner

from qat_cli.app.group import CommandGroup
from qat_cli.errors import Interrupted, UserError, WorkFailed

ERRORS = {
    "user": UserError("no such file: a.pt"),
    "work": WorkFailed("diverged"),
    "interrupted": Interrupted("saved", signal_number=15),
    "keyboard": KeyboardInterrupt(),
    "bug": ZeroDivisionError("division by zero"),
}


@pytest.fixture
def app():
    app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.callback()
    def options(debug: bool = False):
        pass

    @app.command()
    def end(how: str):
        raise ERRORS[how]

    @app.command()
    def train(recipe: str = "", words: list[str] = typer.Argument(None)):  # noqa: B008
        print(recipe, words)

    return app


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("user", 2, "error: no such file: a.pt"),
        ("work", 1, "error: diverged"),
        ("interrupted", 143, "error: saved"),
        ("keyboard", 130, "error: interrupted"),
        ("bug", 1, "error: internal error: ZeroDivisionError: division by zero; run with --debug"),
    ],
)
def test_an_exception_becomes_one_message_and_an_exit_code(app, how, code, message):
    result = CliRunner().invoke(app, ["end", how])
    assert result.exit_code == code
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize("line", [["--debug", "end", "bug"], ["end", "bug", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(app, line):
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: internal error: ZeroDivisionError")


def test_debug_after_a_double_dash_is_an_argument(app):
    result = CliRunner().invoke(app, ["train", "--", "--debug"])
    assert result.stdout.strip() == "['--debug']"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["trian"], "'train'"),
        (["train", "--recpie", "x"], "--recipe"),
        (["end"], "Missing argument"),
    ],
    ids=["command", "option", "argument"],
)
def test_wrong_usage_exits_with_2_and_names_what_is_near(app, line, says):
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_is_no_bug(app, monkeypatch):
    monkeypatch.setitem(ERRORS, "pipe", BrokenPipeError(errno.EPIPE, "Broken pipe"))
    result = CliRunner().invoke(app, ["end", "pipe"])
    assert result.exit_code == 1
    assert "internal error" not in result.stderr
