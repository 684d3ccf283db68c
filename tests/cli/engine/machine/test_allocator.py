"""Freed memory that stays with the process."""

import platform
import subprocess
import sys

import pytest

from qat_cli.engine.machine import allocator
from qat_cli.engine.machine.allocator import USER_SETTINGS, keep_freed_memory

FAULTS_PER_BLOCK = """
import ctypes, resource, runpy, sys
module = runpy.run_path(sys.argv[2])  # without torch, whose import takes longest
if sys.argv[1] == "keep": assert module["keep_freed_memory"]({})
libc = ctypes.CDLL(None)
libc.malloc.restype, size = ctypes.c_void_p, 100 * 2**20  # beyond what glibc itself would keep
def use_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(block, 1, size)
    libc.free(ctypes.c_void_p(block))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
use_a_block()
print(use_a_block())
"""

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the setting exists in glibc only"
)


@needs_glibc
def test_a_block_used_again_needs_no_new_pages():
    def faults(word):
        command = [sys.executable, "-c", FAULTS_PER_BLOCK, word, allocator.__file__]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={})
        return int(done.stdout)

    assert faults("keep") < 10 < faults("leave")


@pytest.mark.parametrize(
    "settings",
    [*({name: "1"} for name in USER_SETTINGS), {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}],
    ids=[*USER_SETTINGS, "GLIBC_TUNABLES"],
)
def test_what_the_user_has_set_up_stays(settings):
    assert keep_freed_memory(settings) is False


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory({}) is False
