"""The porting table against the library and Brevitas."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.docs.porting_names import MISSING, RENAMED, counterpart, is_there, ports, reason_for

ROOT = Path(__file__).parents[2]
PORTS = ports()


def test_every_name_said_to_be_there_can_be_imported():
    assert [port.ours for port in PORTS if port.ours is not None and not is_there(port.ours)] == []


def test_every_name_said_to_be_missing_is_missing_and_has_a_reason():
    missing = [port for port in PORTS if port.ours is None]
    assert [p.full_name for p in missing if is_there(f"{counterpart(p.module)}.{p.name}")] == []
    assert [p.full_name for p in missing if not p.reason] == []


def test_no_entry_of_the_tables_is_stale():
    names = {port.full_name for port in PORTS}
    used = {reason_for(port.full_name) for port in PORTS if port.ours is None}
    assert set(RENAMED) <= names
    assert set(MISSING.values()) <= used
    # a name that is here under its own name is not renamed
    assert [
        p.full_name
        for p in PORTS
        if p.full_name in RENAMED and is_there(f"{counterpart(p.module)}.{p.name}")
    ] == []


@pytest.fixture
def folder():
    """The folder that holds Brevitas."""
    named = os.environ.get("QAT_ORACLE")
    found = Path(named) if named else Path(sys.prefix) / "oracle"
    if not (found / "brevitas").is_dir():
        pytest.skip(f"no Brevitas in {found}: run make oracle, or name its folder in QAT_ORACLE")
    return found


def test_every_package_of_brevitas_is_named(folder):
    page = (ROOT / "docs" / "porting.md").read_text()
    packages = {path.stem for path in (folder / "brevitas").iterdir()}
    unnamed = {name for name in packages if f"`brevitas.{name}`" not in page}
    assert unnamed <= {"__init__", "__pycache__"}


def test_the_names_are_those_of_the_brevitas_that_is_installed(folder):
    code = "import json; from tools.docs import brevitas_names as n; "
    code += "print(json.dumps({'version': n.version(), 'names': n.public_names()}))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    installed = json.loads(done.stdout.splitlines()[-1])
    written = json.loads((ROOT / "tools" / "docs" / "brevitas_names.json").read_text())
    if installed["version"] != written["version"]:
        pytest.skip(f"Brevitas {installed['version']}; the names are of {written['version']}")
    assert installed["names"] == written["names"]
