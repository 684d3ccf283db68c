"""The examples of the README work."""

import re
from pathlib import Path

import pytest

from qat_cli.recipes import list_recipes

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_and_prints_a_scale_and_integers(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})

    printed = capsys.readouterr().out
    assert re.search(r"tensor\(0\.\d+, grad_fn=", printed)
    assert "dtype=torch.int8" in printed


def test_every_shipped_recipe_is_in_the_table_and_no_other():
    table = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)

    assert {name for name in table if not name.startswith("QAT_")} == set(list_recipes())


@pytest.mark.parametrize("recipe", sorted(set(re.findall(r"--recipe (\w+)", README))))
def test_a_recipe_named_in_a_command_ships(recipe):
    assert recipe in list_recipes()
