"""Stub ``minifloat.pyi``: the classes of the minifloat table.

For editors and type checkers, which do not see classes that a loop makes.
"""

from collections import defaultdict

from qat.quantizers.ready.minifloat_table import Declaration, declarations

HEAD = '''\
"""Names of the classes that rows of minifloat_table.py make; written by `make docs`."""

'''
_WIDTH = 100


def stub() -> str:
    """The whole text."""
    declared = list(declarations())
    return HEAD + _imports(declared) + "\n" + "\n".join(map(_class, declared))


def _imports(declared: list[Declaration]) -> str:
    found: dict[str, set[str]] = defaultdict(set)
    for base in (base for each in declared for base in each.bases if not isinstance(base, str)):
        # as the package shows it: the presets and MX bases where they are written
        found["qat.inject" if base.__name__ == "ExtendedInjector" else base.__module__].add(
            base.__name__
        )
    return "".join(_import(module, sorted(names)) for module, names in sorted(found.items()))


def _import(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return f"{line}\n"
    listed = "".join(f"    {name},\n" for name in names)
    return f"from {module} import (\n{listed})\n"


def _class(declared: Declaration) -> str:
    bases = ", ".join(base if isinstance(base, str) else base.__name__ for base in declared.bases)
    return f'class {declared.name}({bases}):\n    """{declared.docstring}"""\n'
