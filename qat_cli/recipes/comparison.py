"""Differences between two resolved recipes."""

from __future__ import annotations

from typing import Any

from qat_cli.recipes.schema import Recipe


def flat_recipe(recipe: Recipe) -> dict[str, Any]:
    """Dotted key to value, in order of the schema; an empty list or mapping is a value."""
    found: dict[str, Any] = {}

    def visit(node: Any, key: str) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for step, value in items:
            name = f"{key}.{step}" if key else str(step)
            if isinstance(value, dict | list) and value:
                visit(value, name)
            else:
                found[name] = value

    visit(recipe.model_dump(mode="json"), "")
    return found


def differences(a: Recipe, b: Recipe) -> list[dict[str, Any]]:
    """One entry per dotted key that differs: ``key``, and ``a`` and ``b`` where they have it."""
    sides = {"a": flat_recipe(a), "b": flat_recipe(b)}
    keys = list(dict.fromkeys([*sides["a"], *sides["b"]]))
    entries = [
        {"key": key, **{side: flat[key] for side, flat in sides.items() if key in flat}}
        for key in keys
    ]
    return [entry for entry in entries if len(entry) < 3 or entry["a"] != entry["b"]]
