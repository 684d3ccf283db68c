"""Contents of the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("qat_cli-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_has_every_module_of_both_packages(wheel_names):
    sources = [*(ROOT / "core" / "qat").rglob("*.py"), *(ROOT / "qat_cli").rglob("*.py")]
    expected = {
        str(path.relative_to(ROOT)).removeprefix("core/").replace("\\", "/") for path in sources
    }
    assert expected <= set(wheel_names)


def test_the_wheel_has_the_sources_of_the_native_ops(wheel_names):
    folder = ROOT / "csrc"
    sources = [path for path in folder.rglob("*") if path.suffix in (".cpp", ".h")]
    expected = {f"qat/_csrc/{path.relative_to(folder).as_posix()}" for path in sources}
    assert len({path.parent for path in sources}) > 1
    assert expected <= set(wheel_names)


def test_the_wheel_has_the_recipes(wheel_names):
    expected = {f"qat_cli/_recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}
    assert expected
    assert expected <= set(wheel_names)


def test_the_wheel_has_nothing_but_the_two_packages(wheel_names):
    assert {name.split("/")[0].split("-")[0] for name in wheel_names} == {"qat", "qat_cli"}


def test_the_wheel_carries_no_leftovers(wheel_names):
    unwanted = ("__pycache__", ".pyc", "test_", "conftest")
    assert [name for name in wheel_names if any(word in name for word in unwanted)] == []
