"""The native library: found, built, cached, loaded."""

import logging
import shutil
import textwrap

import pytest
import torch

from qat import config, ops
from qat.ops.native import build as native_build
from qat.ops.native import compile as native_compile
from qat.ops.native.toolchain import Compiler, NativeBuildError, find_compiler, find_ninja

GCC = Compiler("g++", "g++ 12")

ROUND_TWICE = """
import warnings, torch
import qat.ops as ops
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    values = [ops.round_ste(torch.tensor([1.5])).item() for _ in range(2)]
print(values, ops.backend_report())
print([f"{type(w.message).__name__}: {w.message}" for w in caught])
"""


def test_importing_qat_ops_loads_and_compiles_nothing(run_program):
    done = run_program(
        "import sys, qat.ops as ops; from qat.ops.native import load as native;"
        "print(native._result, 'torch._dynamo' in sys.modules, ops.backend_report().active)"
    )
    assert done.communicate()[0] == "None False python\n"


def test_key_is_stable_and_changes_with_source_compiler_and_torch(tmp_path, monkeypatch):
    source = tmp_path / "part" / "ops.cpp"
    source.parent.mkdir()
    source.write_text("int one;")
    before = native_build.library_name(tmp_path, GCC)
    assert native_build.library_name(tmp_path, GCC) == before

    assert native_build.library_name(tmp_path, Compiler("g++", "g++ 13")) != before
    assert native_build.library_name(tmp_path, Compiler("clang++", "g++ 12")) != before
    monkeypatch.setattr(torch, "__version__", "2.11.0")
    assert native_build.library_name(tmp_path, GCC) != before
    monkeypatch.undo()
    source.write_text("int two;")
    assert native_build.library_name(tmp_path, GCC) != before
    source.write_text("int one;")
    source.parent.rename(tmp_path / "other")
    assert native_build.library_name(tmp_path, GCC) != before


def test_sources_are_those_of_all_folders():
    folder = native_build.source_folder()
    names = [path.relative_to(folder).as_posix() for path in native_build.source_files(folder)]
    assert {"registration.cpp", "fake_quantize/fused.cpp", "fake_quantize/grids.h"} <= set(names)


def test_file_that_another_one_includes_is_compiled_with_that_and_costly_ones_come_first(tmp_path):
    texts = {
        "kernel.cpp": "int a;",
        "registration.cpp": "#include <torch/library.h>",
        "part/one.cpp": "int b;",
        "part/two.h": "int c;",
        "units/all.cpp": '#include "../part/one.cpp"\n#include "../part/two.h"',
        "units/torch.cpp": '#include "../registration.cpp"',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = native_compile.units(tmp_path / name for name in texts)
    assert [path.name for path in found] == ["torch.cpp", "kernel.cpp", "all.cpp"]


@pytest.fixture
def small_sources(toolchain, tmp_path, monkeypatch):
    """Two small files, in place of ours, in a folder whose name needs escaping."""
    folder = tmp_path / "c src$1"
    (folder / "part").mkdir(parents=True)
    (folder / "one.cpp").write_text("int one() { return 1; }")
    (folder / "part" / "two.cpp").write_text("#include <ATen/core/ATen_fwd.h>\nint two() {}")
    monkeypatch.setenv("QAT_CACHE_DIR", str(tmp_path / "a cache$2"))
    monkeypatch.setenv("CXX", "env c++")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setattr(native_build, "source_folder", lambda: folder)
    return folder


def test_compiler_of_two_words_is_used_and_progress_is_logged(small_sources, caplog):
    with caplog.at_level(logging.INFO, "qat"):
        assert native_build.build().stat().st_size > 1000
    text = caplog.text
    assert "compiling qat_native" in text and "with env c++ (once, about half a minute)" in text
    assert all(name in text for name in (" s: one.cpp", " s: part/two.cpp", "3 of 3, "))


def test_error_of_the_compiler_is_named_and_no_library_is_left(small_sources, tmp_path):
    (small_sources / "one.cpp").write_text("int one() { return nothing; }")
    with pytest.raises(NativeBuildError, match=r"with env c\+\+ failed: .*one.cpp:1.* error: "):
        native_build.build()
    assert {path.suffix for path in (tmp_path / "a cache$2").iterdir()} == {".lock", ".log"}


def test_cache_folder_follows_the_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("QAT_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert str(native_build.cache_folders()[0]) == "/home/somebody/.cache/qat"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert str(native_build.cache_folders()[0]) == "/xdg/qat"
    monkeypatch.setenv("QAT_CACHE_DIR", str(tmp_path))
    assert native_build.cache_folders()[0] == tmp_path


def fake_toolchain(monkeypatch, tmp_path, compiled):
    """Build in ``tmp_path`` with a compiler that only writes a file and counts."""
    source = tmp_path / "csrc" / "ops.cpp"
    source.parent.mkdir()
    source.write_text("int one;")
    monkeypatch.setenv("QAT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(native_build.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(native_build, "source_folder", lambda: source.parent)
    monkeypatch.setattr(native_build, "find_compiler", lambda: GCC)

    def compile_(folder, sources, compiler):
        compiled.append((sources / source.name).read_text())
        (folder / "qat_native.so").write_text(compiled[-1])

    monkeypatch.setattr(native_build, "_compile", compile_)
    return source


def test_library_is_built_once_and_again_when_the_source_changes(tmp_path, monkeypatch):
    compiled = []
    source = fake_toolchain(monkeypatch, tmp_path, compiled)
    first = native_build.build()
    assert native_build.build() == first
    source.write_text("int two;")
    second = native_build.build()
    assert second != first and second.read_text() == "int two;"
    assert compiled == ["int one;", "int two;"]


def test_rebuild_replaces_a_library_that_does_not_load(tmp_path, monkeypatch):
    fake_toolchain(monkeypatch, tmp_path, [])
    library = native_build.build()
    library.write_text("broken")
    assert native_build.build().read_text() == "broken"
    assert native_build.build(rebuild=True).read_text() == "int one;"


def test_interrupted_build_leaves_nothing_but_its_lock_and_the_next_one_succeeds(
    tmp_path, monkeypatch
):
    fake_toolchain(monkeypatch, tmp_path, [])
    complete = native_build._compile

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(native_build, "_compile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        native_build.build()
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".lock"}
    monkeypatch.setattr(native_build, "_compile", complete)
    assert native_build.build().is_file()


def test_remains_of_a_killed_build_are_cleared_away(tmp_path, monkeypatch):
    fake_toolchain(monkeypatch, tmp_path, [])
    library = native_build.build()
    remains = library.parent / f"{library.stem}.build-killed"
    remains.mkdir()
    native_build.build(rebuild=True)
    assert not remains.exists()


def test_cache_that_cannot_be_made_falls_back_to_a_folder_of_this_users_own(tmp_path, monkeypatch):
    fake_toolchain(monkeypatch, tmp_path, [])
    (tmp_path / "file").touch()
    monkeypatch.setenv("QAT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    folder = native_build.build().parent
    assert folder == native_build._temporary_folder()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_temporary_folder_that_others_can_write_is_not_trusted(tmp_path, monkeypatch):
    fake_toolchain(monkeypatch, tmp_path, [])
    (tmp_path / "file").touch()
    monkeypatch.setenv("QAT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    native_build._temporary_folder().mkdir()
    native_build._temporary_folder().chmod(0o777)
    with pytest.raises(NativeBuildError, match="set QAT_CACHE_DIR"):
        native_build.build()


def test_compiler_that_cxx_names_is_not_replaced_by_another(monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    with pytest.raises(NativeBuildError, match="CXX='/nowhere/g\\+\\+' does not run"):
        find_compiler()


def test_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        NativeBuildError, match=r"no C\+\+ compiler \(g\+\+/c\+\+/clang\+\+\) found"
    ):
        find_compiler()


def test_ninja_of_the_python_package_is_found_off_the_path(monkeypatch, tmp_path):
    pytest.importorskip("ninja", reason="the ninja package is not installed here")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("ninja") is None
    assert find_ninja()


def test_compile_error_names_the_first_error_and_keeps_the_log(toolchain, tmp_path, monkeypatch):
    fake_toolchain(monkeypatch, tmp_path, [])
    log = tmp_path / "build.log"
    text = native_build._compile_error(GCC, "note\nops.cpp:1: error: oh no\nmore", log)
    assert text == f"compiling csrc with g++ failed: ops.cpp:1: error: oh no (all of it in {log})"
    assert log.read_text() == "note\nops.cpp:1: error: oh no\nmore"


@pytest.mark.parametrize(
    "variables",
    [
        {"QAT_NATIVE_STE_BACKEND": "1", "PATH": "/nowhere"},
        {"QAT_JIT": "1", "CXX": "/nowhere/g++"},
    ],
    ids=["native", "jit"],
)
def test_without_compiler_there_is_one_warning_and_the_python_ops(variables, run_program):
    out, err = run_program(ROUND_TWICE, **variables).communicate()
    values, warned = out.splitlines()
    assert values.startswith("[2.0, 2.0] BackendReport(active='python', reason=")
    assert "native requested (" in values
    assert warned.count("NativeBackendWarning: the native STE backend is not available") == 1
    assert warned.count("Warning") == 1, err


def test_without_compiler_scripted_ops_still_run_and_differentiate(run_program):
    code = textwrap.dedent("""
        import torch, warnings
        warnings.simplefilter("ignore")
        import qat.ops as ops
        ops.ensure_registered()
        ops.ensure_registered()
        def f(x):
            y = ops.round_ste(x) * ops.abs_binary_sign_grad(x)
            return ops.tensor_clamp_ste_(y, torch.tensor(-9.0), torch.tensor(9.0))
        from qat.components import RoundSte
        scripted = torch.jit.script(ops.floor_scale), torch.jit.script(RoundSte()).forward
        for function in (*scripted, torch.jit.script(ops.tensor_clamp_ste_)):
            x = torch.tensor([1.5], requires_grad=True)
            bounds = (torch.tensor(-9.0), torch.tensor(1.0))
            y = function(x * 1, *bounds) if "clamp" in function.name else function(x)
            y.backward()
            print(y.item(), x.grad.item())
    """)
    out, err = run_program(code, CXX="/nowhere/g++").communicate()
    assert out.splitlines() == ["1.5 1.0", "2.0 1.0", "1.0 1.0"], err


def test_first_use_inside_a_compiled_function_loads_the_library(toolchain, run_program):
    code = textwrap.dedent("""
        import torch, qat.ops as ops
        f = torch.compile(lambda x: ops.round_ste(x), fullgraph=True, backend="aot_eager")
        print(f(torch.tensor([2.5])).item(), ops.active_backend())
    """)
    ops.ensure_registered()  # fills the cache
    cache = str(native_build.cache_folders()[0])
    out, err = run_program(code, QAT_NATIVE_STE_BACKEND="1", QAT_CACHE_DIR=cache).communicate()
    assert out == "2.0 native\n", err


def test_report_says_why(use_backend, monkeypatch):
    use_backend("python")
    assert ops.backend_report().reason.startswith("native not requested")
    use_backend("native")
    report = ops.backend_report()
    assert report.active == "native"
    assert report.reason.startswith("requested (set at run time), loaded from ")
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    assert "forced by JIT_ENABLED" in ops.backend_report().reason


@pytest.mark.slow
def test_two_processes_that_start_at_once_build_once_and_both_succeed(
    toolchain, run_program, tmp_path
):
    code = "import logging; logging.basicConfig(level=logging.INFO)\n" + ROUND_TWICE
    variables = {"QAT_NATIVE_STE_BACKEND": "1", "QAT_CACHE_DIR": str(tmp_path / "empty")}
    both = [run_program(code, **variables) for _ in range(2)]
    answers = [process.communicate() for process in both]
    for out, err in answers:
        assert out.startswith("[2.0, 2.0] BackendReport(active='native'"), err
    assert sum("compiling qat_native" in err for _, err in answers) == 1
    assert len(list((tmp_path / "empty").glob("*.so"))) == 1
