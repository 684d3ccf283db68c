"""The parts of a package and their imports as an SVG picture.

Every part stands one row above the highest part that it imports. A line leads to each imported
part that no other line leads to by a detour. No sizes are shown, so that the picture changes only
when a part or an import among parts does.
"""

from collections import Counter
from collections.abc import Mapping
from html import escape

from tools.docs.architecture.imports import PACKAGES, Part, imports, levels, parts

BOX_WIDTH, BOX_HEIGHT, GAP, ROW = 132, 30, 18, 74
MARGIN, HEADING = 24, 56
COLOURS = {"qat": "#dbe9f6", "qat_cli": "#fde8d0"}
FONT = 'font-family="Helvetica, Arial, sans-serif"'
Place = tuple[float, float]


def picture() -> str:
    """Both packages side by side, as the text of an SVG file."""
    panels, left, height = [], float(MARGIN), 0.0
    for package in PACKAGES:
        body, width, panel_height = _panel(package, left)
        panels.append(body)
        left += width + 3 * GAP
        height = max(height, panel_height)
    width = left - 3 * GAP + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(panels)}</svg>\n'
    )


def direct(graph: Mapping[str, Counter[str]]) -> dict[str, set[str]]:
    """The imports of each part that do not also follow from its other imports."""
    below = {part: {other for other in found if other in graph} for part, found in graph.items()}
    reach: dict[str, set[str]] = {}
    for part in sorted(graph, key=levels(graph).__getitem__):
        reach[part] = below[part].union(*(reach[other] for other in below[part]))
    return {
        part: {
            other
            for other in below[part]
            if not any(other in reach[via] for via in below[part] - {other})
        }
        for part in graph
    }


def _panel(package: str, left: float) -> tuple[str, float, float]:
    graph = imports(package)
    level = levels(graph)
    rows: list[list[Part]] = [[] for _ in range(max(level.values()) + 1)]
    for part in parts(package):
        rows[level[part.name]].append(part)
    widest = max(map(len, rows))
    width = widest * (BOX_WIDTH + GAP) - GAP
    places: dict[str, Place] = {}
    for row, members in enumerate(reversed(rows)):
        start = left + (width - len(members) * (BOX_WIDTH + GAP) + GAP) / 2
        for column, part in enumerate(members):
            places[part.name] = start + column * (BOX_WIDTH + GAP), HEADING + row * ROW
    lines = [
        _line(places[part], places[other])
        for part, found in sorted(direct(graph).items())
        for other in sorted(found)
    ]
    boxes = [_box(part, places[part.name], COLOURS[package]) for part in parts(package)]
    heading = f'<text x="{left}" y="30" {FONT} font-size="18" font-weight="bold">{package}</text>\n'
    return heading + "".join(lines + boxes), width, HEADING + len(rows) * ROW


def _line(start: Place, end: Place) -> str:
    x1, y1 = start[0] + BOX_WIDTH / 2, start[1] + BOX_HEIGHT
    x2, y2 = end[0] + BOX_WIDTH / 2, end[1]
    return (
        f'<path d="M{x1:.0f},{y1:.0f} C{x1:.0f},{y1 + 26:.0f} {x2:.0f},{y2 - 26:.0f} '
        f'{x2:.0f},{y2:.0f}" fill="none" stroke="#8899aa" stroke-width="1.3"/>\n'
    )


def _box(part: Part, place: Place, colour: str) -> str:
    x, y = place
    name = part.name.partition(".")[2]
    middle = x + BOX_WIDTH / 2
    return (
        f"<g><title>{escape(part.summary)}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" '
        f'fill="{colour}" stroke="#556677"/>'
        f'<text x="{middle:.0f}" y="{y + 20:.0f}" {FONT} font-size="13" text-anchor="middle">'
        f"{escape(name)}</text></g>\n"
    )
