"""Where a board is read from: the machine itself, or a recorded tree with the text that its tools printed."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import Struct

from edgedyno.agent.host.read import is_folder, read_text, replay_failures
from edgedyno.agent.host.tools import LiveTools, RecordedTools, Tools
from edgedyno.core.errors import ConfigError

# Beside `rootfs/` in a recording that the program made: what was taken, and what could not be read.
CAPTURE_FILE = "capture.json"


class Place(Struct, frozen=True):
    """A board's root directory, its tools, and whether it is a recording."""

    root: Path
    tools: Tools
    recorded: bool = False

    def path(self, *parts: str) -> Path:
        """Return a path below the root; `parts` do not begin with a slash."""
        return self.root.joinpath(*parts)


def locate(root: Path = Path("/")) -> Place:
    """Return the place that `root` stands for.

    `/` is this machine; a folder with `rootfs/` is a recorded board. Raises ConfigError for anything else.
    """
    if root.resolve() == Path("/"):
        return Place(Path("/"), LiveTools())
    if is_folder(root / "rootfs"):
        _replay(root)
        return Place(root / "rootfs", RecordedTools(root / "bin-output"), recorded=True)
    if is_folder(root / "proc"):
        return Place(root, RecordedTools(root.parent / "bin-output"), recorded=True)
    found = "no such folder" if not is_folder(root) else "a folder without rootfs/"
    raise ConfigError(
        f"{root}: found {found}, expected a recorded board: a folder with rootfs/ and bin-output/",
        code="board.tree",
    )


def _replay(root: Path) -> None:
    """Have files fail as they did when the board was recorded."""
    try:
        failed = json.loads(read_text(root / CAPTURE_FILE) or "{}").get("failed", {})
        replay_failures({f"{root / 'rootfs'}{path}": str(reason) for path, reason in failed.items()})
    except (ValueError, AttributeError) as error:
        found = f"{root / CAPTURE_FILE}: found {error}, expected what `edgedyno agent capture` writes"
        raise ConfigError(found, code="board.tree") from error
