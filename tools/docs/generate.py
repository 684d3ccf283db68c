"""Writes the pages that are made from the code: ``make docs``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools.docs import porting_page, quantizers_page
from tools.docs.architecture import page as architecture_page
from tools.docs.architecture import picture

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "quantizers.md": quantizers_page.page,
    "porting.md": porting_page.page,
    "architecture.md": architecture_page.page,
    "architecture.svg": picture.picture,
}


def main() -> int:
    """Write all pages; with ``--check`` only say which are not current (exit code 1)."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what would change")
    check = parser.parse_args().check
    changed = [name for name, page in PAGES.items() if _current(name) != page()]
    for name in changed:
        if not check:
            (DOCS / name).write_text(PAGES[name]())
        print(f"{'not current' if check else 'written'}: docs/{name}")
    return 1 if check and changed else 0


def _current(name: str) -> str:
    path = DOCS / name
    return path.read_text() if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
