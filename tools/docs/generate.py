"""Writer of the files that are made from the code: ``make docs``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools.docs import minifloat_stub, models_page, porting_page, quantizers_page
from tools.docs.architecture import page as architecture_page
from tools.docs.architecture import picture

ROOT = Path(__file__).parents[2]
#: Path from the root of the repository -> what makes its text.
FILES: dict[str, Callable[[], str]] = {
    "docs/quantizers.md": quantizers_page.page,
    "docs/porting.md": porting_page.page,
    "docs/models.md": models_page.page,
    "docs/architecture.md": architecture_page.page,
    "docs/architecture.svg": picture.picture,
    "core/qat/quantizers/ready/minifloat.pyi": minifloat_stub.stub,
}


def main() -> int:
    """Write all files; with ``--check`` only say which are not current (exit code 1)."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what would change")
    check = parser.parse_args().check
    made = {name: make() for name, make in FILES.items()}
    changed = [name for name, text in made.items() if not is_current(name, text)]
    for name in changed:
        if not check:
            (ROOT / name).write_text(made[name])
        print(f"{'not current' if check else 'written'}: {name}")
    return 1 if check and changed else 0


def is_current(name: str, text: str) -> bool:
    """Whether the file says ``text`` already."""
    path = ROOT / name
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
