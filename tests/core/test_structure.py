"""The structure of the library: floors without circles, short files, a cheap import."""

import ast
import subprocess
import sys
from pathlib import Path

QAT = Path(__file__).parents[2] / "core" / "qat"
#: Floor of each folder or file of ``qat``; a file imports from its own floor or from those below.
FLOORS = {
    "config": 0,
    "enums": 0,
    "formats": 0,
    "granularity": 0,
    "torchscript": 1,
    "ops": 2,
    "jit": 3,
    "components": 4,
    "inject": 5,
    "quantizers": 6,
    "tensor": 7,
    "proxy": 8,
    "nn": 9,
    "graph": 10,
    "costs": 10,
    "ptq": 11,
    "export": 11,
    "inference": 11,
}
FILES = sorted(
    path for path in QAT.rglob("*.py") if path.relative_to(QAT).parts != ("__init__.py",)
)


def part_of(path):
    """Folder or file under ``qat`` that ``path`` belongs to."""
    return path.relative_to(QAT).parts[0].removesuffix(".py")


def parts_imported(path):
    """Folders and files of ``qat`` that ``path`` imports, anywhere in its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            found.update(parts_named(node, path))
    return found - {part_of(path)}


def is_ours(module):
    return module.startswith("qat.")


def parts_named(node, path):
    package = ["qat", *path.relative_to(QAT).parts[:-1]]
    base = package[: len(package) - node.level + 1] if node.level else []
    module = [*base, *(node.module.split(".") if node.module else [])]
    if module[:1] != ["qat"]:
        return set()
    return {module[1]} if len(module) > 1 else {alias.name for alias in node.names}


def test_every_part_stands_on_a_floor():
    assert {part_of(path) for path in FILES} <= set(FLOORS)


def test_no_file_imports_from_a_floor_above_its_own():
    wrong = {
        (str(path.relative_to(QAT)), part)
        for path in FILES
        for part in parts_imported(path)
        if part in FLOORS and FLOORS[part] > FLOORS[part_of(path)]
    }
    assert wrong == set()


def test_no_folders_import_each_other_in_a_circle():
    below = {part: set() for part in FLOORS}
    for path in FILES:
        own = part_of(path)
        below[own] |= {part for part in parts_imported(path) if part in FLOORS}
    left = dict(below)
    while free := [part for part, needed in left.items() if not needed & set(left)]:
        for part in free:
            del left[part]
    assert left == {}


def test_half_of_the_files_are_shorter_than_150_lines():
    lengths = sorted(len(path.read_text().splitlines()) for path in QAT.rglob("*.py"))
    assert lengths[len(lengths) // 2] < 150


def test_no_file_is_longer_than_400_lines():
    assert [str(path) for path in FILES if len(path.read_text().splitlines()) > 400] == []


def test_importing_qat_compiles_nothing_and_leaves_the_command_line_alone():
    code = (
        "import sys, qat, qat.nn, qat.quantizers, qat.components\n"
        "from qat.ops import native\n"
        "print([name for name in ('torch.utils.cpp_extension', 'qat_cli') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
