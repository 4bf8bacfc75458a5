"""Where this user's files are kept, and the results folder that `run` and the demo write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.config import AgentConfig, find_state_dir, load_config
from edgedyno.agent.provision.made import all_environments, builder_interpreters
from edgedyno.cli.output import say
from edgedyno.core.errors import ConfigError
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedyno.core.meters import MeterSettings
    from edgedyno.core.run import Environment


def cache_folder() -> Path:
    """Return the folder for what can be made again: $EDGEDYNO_CACHE, else the user's cache folder."""
    given = os.environ.get("EDGEDYNO_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else base / "edgedyno"


def known_environments(named: Sequence[Environment] = ()) -> list[Environment]:
    """Return the interpreters that are named, else those of the agent's configuration, and those made here.

    A configuration that this user may not read belongs to the board's service: it is told, and left out.
    """
    config = _config(tell=True)
    return all_environments(named or config.runtimes, find_state_dir(config))


def known_meters() -> list[MeterSettings]:
    """Return the power meters outside this board that the agent's configuration names."""
    return _config(tell=False).meters


def known_builders() -> dict[str, str]:
    """Return for each format the interpreter made here that has its tool."""
    return builder_interpreters(find_state_dir(_config(tell=False)))


def _config(*, tell: bool) -> AgentConfig:
    try:
        return load_config()
    except ConfigError as error:
        if error.code != "config.unreadable":
            raise
        if tell:
            say(f"{error}; going on without it")
        return AgentConfig()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def write_results(folder: Path, results: Iterable[Result]) -> None:
    """Write `results.jsonl`: one result record a line."""
    write_atomic(
        folder / "results.jsonl", b"".join(msgspec.json.encode(result) + b"\n" for result in results)
    )


def read_results(place: Path) -> list[Result]:
    """Read a folder's `results.jsonl`, or such a file; raise ConfigError where it is missing or damaged."""
    path = place / "results.jsonl" if place.is_dir() else place
    decoder = msgspec.json.Decoder(Result)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: no results here ({error.strerror})", code="results.missing") from error
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            results.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise ConfigError(
                f"{path}:{number}: not a result record: {error}", code="results.invalid"
            ) from error
    return results
