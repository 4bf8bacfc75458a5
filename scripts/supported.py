"""Write SUPPORTED.md from the recorded boards under tests/fixtures and the board profiles, or --check it."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.profile import BoardProfile, board_profiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.core.board import Capabilities

ROOT = Path(__file__).parent.parent
BOARDS = ROOT / "tests" / "fixtures" / "boards"
TARGET = ROOT / "SUPPORTED.md"
HEAD = """\
# Supported boards

Made by `./scripts/supported` from the recorded boards in `tests/fixtures/boards` and the profiles in
`profiles/edgedyno/profiles/boards`; do not edit it. What is said of sensors and throttling is what the program finds
in the recording, not what a data sheet promises.

Level of proof: **hardware**: run on such a board itself; **recorded tree**: the readers give the right values from
files of a real board; **facts only**: from published facts, no recording of such a board was seen. Every other board
works from what the kernel tells (profile `generic`). `edgedyno agent capture DIR` records yours: see docs/boards.md.

## Boards with a recording

| recording | board | profile | power sensors (scope) | throttling | runtimes to prefer | proof |
| --- | --- | --- | --- | --- | --- | --- |
"""
MIDDLE = """
## Boards without a recording

| profile | board | power sensors (scope) | throttling | runtimes to prefer | proof |
| --- | --- | --- | --- | --- | --- |
"""


def main() -> int:
    """Return 1 when --check finds that the page is not current."""
    logging.disable(logging.WARNING)
    check = "--check" in sys.argv
    text = page()
    stale = not TARGET.exists() or TARGET.read_text("utf-8") != text
    if stale and not check:
        TARGET.write_text(text, "utf-8")
    state = "current" if not stale else "differs: run ./scripts/supported" if check else "written"
    print("SUPPORTED.md:", state)
    return int(check and stale)


def page() -> str:
    """Return the page."""
    recordings = {
        path.name: read_capabilities(root=path) for path in sorted(BOARDS.iterdir()) if path.is_dir()
    }
    profiles = {profile.id: profile for profile in board_profiles()}
    seen = defaultdict(list)
    for name, found in recordings.items():
        seen[found.profile].append(name)
    rows = [_row(_recorded(name, found, profiles[found.profile])) for name, found in recordings.items()]
    others = [
        _row(_unrecorded(profile))
        for profile in sorted(profiles.values(), key=lambda each: each.id)
        if profile.id not in seen
    ]
    return HEAD + "\n".join(rows) + "\n" + MIDDLE + "\n".join(others) + "\n"


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _recorded(name: str, found: Capabilities, profile: BoardProfile) -> Iterator[str]:
    yield f"`{name}`"
    yield found.name
    yield f"`{profile.id}`"
    yield (
        ", ".join(f"{each.source} ({each.scope})" for each in found.power if each.available)
        or "none: a meter outside"
    )
    yield ", ".join(each.source for each in found.throttle if each.available) or "cannot be seen"
    yield ", ".join(profile.runtimes) or "any"
    yield f"hardware: {profile.hardware}" if profile.hardware else "recorded tree"


def _unrecorded(profile: BoardProfile) -> Iterator[str]:
    yield f"`{profile.id}`"
    yield profile.name
    yield ", ".join(f"{each.source} ({each.scope})" for each in profile.power) or "none: a meter outside"
    yield ", ".join(each.source for each in profile.throttle) or "none known"
    yield ", ".join(profile.runtimes) or "any"
    yield "facts only"


if __name__ == "__main__":
    sys.exit(main())
