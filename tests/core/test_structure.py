"""Structure of both packages: floors, short files, small folders, prose."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Floor of each folder or file of a package; a file imports from its own floor or from those below.
QAT = {
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
QAT_CLI = {
    "errors": 0,
    "lazy": 0,
    "versions": 0,
    "terminal": 1,
    "recipes": 1,
    "data": 2,
    "models": 2,
    "checkpoint": 3,
    "report": 4,
    "app": 5,
    "engine": 6,
    "commands": 7,
    "main": 8,
}
ENGINE = {
    "machine": 0,
    "parallel": 1,
    "step": 2,
    "memory": 3,
    "setup": 4,
    "evaluation": 5,
    "run": 6,
    "tasks": 7,
}
FLOORS = {"qat": QAT, "qat_cli": QAT_CLI, "qat_cli.engine": ENGINE}
FOLDERS = {
    "qat": ROOT / "core" / "qat",
    "qat_cli": ROOT / "qat_cli",
    "qat_cli.engine": ROOT / "qat_cli" / "engine",
}
MOST_FILES, MOST_LINES, MOST_WORDS = 20, 400, 12
SOURCES = {".py", ".cpp", ".h", ".cu"}
each_package = pytest.mark.parametrize("package", FLOORS)


def files_of(package):
    """Source files of a package but its own table of contents."""
    folder = FOLDERS[package]
    return sorted(path for path in folder.rglob("*.py") if path != folder / "__init__.py")


def part_of(path, package):
    """Folder or file of ``package`` that ``path`` belongs to."""
    return path.relative_to(FOLDERS[package]).parts[0].removesuffix(".py")


def parts_imported(path, package):
    """Folders and files of ``package`` that ``path`` imports, anywhere in its code.

    A name that the package itself re-exports stands on no floor, and is left out.
    """
    modules = {module for node in ast.walk(ast.parse(path.read_text())) for module in named(node)}
    inside = [m.removeprefix(f"{package}.") for m in modules if m.startswith(f"{package}.")]
    return ({name.split(".")[0] for name in inside} & set(FLOORS[package])) - {
        part_of(path, package)
    }


def named(node):
    """Modules that an import names; a name imported from a package may be one as well."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute: the floors are read from them"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@each_package
def test_every_part_stands_on_a_floor(package):
    assert {part_of(path, package) for path in files_of(package)} <= set(FLOORS[package])


@each_package
def test_no_file_imports_from_a_floor_above_its_own(package):
    floors = FLOORS[package]
    wrong = {
        (str(path.relative_to(ROOT)), part)
        for path in files_of(package)
        for part in parts_imported(path, package)
        if floors[part] > floors[part_of(path, package)]
    }
    assert wrong == set()


@each_package
def test_no_folders_import_each_other_in_a_circle(package):
    below = {part: set() for part in FLOORS[package]}
    for path in files_of(package):
        below[part_of(path, package)] |= parts_imported(path, package)
    left = dict(below)
    while free := [part for part, needed in left.items() if not needed & set(left)]:
        for part in free:
            del left[part]
    assert left == {}


def test_the_library_does_not_import_the_application():
    named_by_library = {
        module.split(".")[0]
        for path in files_of("qat")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in named(node)
    }
    assert "qat_cli" not in named_by_library


@pytest.mark.parametrize("package", ["qat", "qat_cli"])
def test_half_of_the_files_are_shorter_than_150_lines(package):
    lengths = sorted(len(path.read_text().splitlines()) for path in files_of(package))
    assert lengths[len(lengths) // 2] < 150


@pytest.mark.parametrize("package", ["qat", "qat_cli"])
def test_no_file_is_longer_than_400_lines(package):
    lengths = {path: len(path.read_text().splitlines()) for path in files_of(package)}
    assert [str(path) for path, lines in lengths.items() if lines > MOST_LINES] == []


@pytest.mark.parametrize("root", ["core/qat", "qat_cli", "csrc", "tests"])
def test_no_folder_holds_more_than_20_source_files(root):
    folders = [ROOT / root, *(path for path in (ROOT / root).rglob("*") if path.is_dir())]
    counts = {
        str(folder.relative_to(ROOT)): sum(path.suffix in SOURCES for path in folder.iterdir())
        for folder in folders
    }
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize("root", ["core/qat", "qat_cli", "tools", "benchmarks", "tests"])
def test_the_first_line_of_a_module_names_it_in_at_most_12_words(root):
    wrong = {}
    for path in (ROOT / root).rglob("*.py"):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        first = text.partition("\n\n")[0]
        if len(first.split()) > MOST_WORDS or first.startswith("What ") or not text:
            wrong[str(path.relative_to(ROOT))] = first
    assert wrong == {}


def test_importing_qat_compiles_nothing_and_leaves_the_command_line_alone():
    code = (
        "import sys, qat, qat.nn, qat.quantizers, qat.components\n"
        "from qat.ops import native\n"
        "print([name for name in ('torch.utils.cpp_extension', 'qat_cli') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
