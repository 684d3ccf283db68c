"""Help texts as a reader sees them, on 80 columns."""

import re
import shlex

import pytest
import typer

from qat_cli.app.options import headings
from qat_cli.main import app

ROOT = typer.main.get_command(app)


def commands(group=ROOT, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands())


def example_lines(command):
    return re.findall(r"^\s+(qat .*)$", command.epilog or "", re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_of_itself(name):
    lines = example_lines(COMMANDS[name])
    assert lines and all(line.startswith(f"qat {name}") for line in lines)


EXAMPLES = [line for command in (ROOT, *COMMANDS.values()) for line in example_lines(command)]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_a_line_that_the_command_takes(line):
    words = shlex.split(line.partition(">")[0])[1:]
    name = next(name for name in COMMANDS if words[: name.count(" ") + 1] == name.split())
    arguments = words[name.count(" ") + 1 :]
    with COMMANDS[name].make_context(name, arguments):  # a usage error raises
        pass


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_list_of_commands_is_a_whole_sentence(name):
    first = COMMANDS[name].help.partition("\n\n")[0]
    assert first.endswith(".") and len(first) <= 62


def test_options_of_a_long_help_are_grouped_and_each_stands_once(qat):
    text = qat("train", "--help").stdout
    places = [text.index(f"{title}:") for title in headings() if f"{title}:" in text]
    assert places == sorted(places) and len(places) >= 3
    for option in ("--recipe", "--epochs", "--device", "--out", "--json"):
        assert len(re.findall(rf"^  (?:-q, )?{option}\b", text, re.MULTILINE)) == 1


def test_a_lone_option_gets_no_group_of_its_own(qat):
    assert "Training:" not in qat("calibrate", "--help").stdout


def test_arguments_are_called_as_in_the_usage_line(qat):
    text = qat("train", "--help").stdout
    assert "[KEY=VALUE]..." in text.splitlines()[0]
    assert "  KEY=VALUE " in text and "list[str]" not in text
