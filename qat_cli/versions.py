"""Versions of this program and of its packages, without imports."""

from __future__ import annotations


def package_version(distribution: str) -> str | None:
    """The installed version of a distribution, or ``None`` where it is not installed."""
    import importlib.metadata  # takes 20 ms, which the help does not have

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def program_version() -> str:
    """The version of this program; ``unknown (not installed)`` when run from a bare checkout."""
    return package_version("qat-cli") or "unknown (not installed)"
