"""`edgedyno boards`: list, show, label, drain, remove."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_table, say
from edgedyno.core.errors import ConfigError
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_SECONDS = 0.5


def list_boards(*, url: str, as_json: bool) -> None:
    """Print the boards of the fleet."""
    with Controller(url) as controller:
        boards = controller.call("GET", "/boards")["boards"]
    if as_json:
        print_json(boards)
        return
    columns = ("board", "state", "profile", "labels", "runtimes", "running")
    print_table("", columns, [_row(board) for board in boards])
    if not boards:
        say("no board has reported yet; start one with: edgedyno agent run")


def _row(board: dict[str, Any]) -> list[object]:
    capabilities = board["capabilities"] or {"runtimes": []}
    runtimes = [f"{one['name']} {one['version']}" for one in capabilities["runtimes"] if one["available"]]
    labels = " ".join(f"{key}={value}" for key, value in sorted(board["labels"].items()))
    return [board["board"], _state(board), board["profile"], labels, ", ".join(runtimes), board["execution"]]


def _state(board: dict[str, Any]) -> str:
    seen = board["last_seen_seconds"]
    state = (
        "online" if board["online"] else f"gone, seen {seen:.0f} s ago" if seen is not None else "never seen"
    )
    if board["drained"]:
        state += ", drained"
    return f"{state}, takes no work ({board['refuses']})" if board.get("refuses") else state


def show(board: str, *, url: str, as_json: bool) -> None:
    """Print what was found on a board."""
    with Controller(url) as controller:
        found = controller.call("GET", f"/boards/{board}")
    if as_json:
        print_json(found)
        return
    capabilities = found["capabilities"]
    rows = [["board", found["board"]], ["state", _state(found)], ["profile", found["profile"]]]
    if capabilities:
        rows += [
            ["name", capabilities["name"]],
            ["system", f"{capabilities['os']}, Linux {capabilities['kernel']}, {capabilities['arch']}"],
            ["memory", format_bytes(capabilities["memory_bytes"])],
            [
                "core sets",
                "; ".join(f"{name}: {_cpus(cpus)}" for name, cpus in capabilities["core_sets"].items()),
            ],
            ["features", ", ".join(capabilities["cpu"]["features"])],
            *(["runtime", _available(one)] for one in capabilities["runtimes"]),
            *(["throttling", _available({**one, "name": one["source"]})] for one in capabilities["throttle"]),
            *(["speed", line] for line in _speeds(capabilities.get("speeds"))),
            *(["differs", line] for line in (capabilities.get("host") or {}).get("differs", [])),
            *(["power", _available({**one, "name": one["source"]})] for one in capabilities["power"]),
        ]
    print_table("", ("", ""), rows)


def _speeds(speeds: dict[str, Any] | None) -> Iterator[str]:
    """Tell what was measured on each set of cores."""
    for one in (speeds or {"sets": []})["sets"]:
        copy = one["copy_bytes_per_second"]
        rates = [f"copy {copy / 1e9:.3g} GB/s"] if copy else []
        rates += [
            f"{name} {rate / 1e9:.3g} G operations/s" for name, rate in one["operations_per_second"].items()
        ]
        yield f"{one['cores']}: {', '.join(rates)}"


def _cpus(cpus: list[int]) -> str:
    return ",".join(map(str, cpus))


def _available(item: dict[str, Any]) -> str:
    name = f"{item['name']} {item.get('version') or item.get('scope') or ''}".strip()
    return name if item["available"] else f"{name}: not available: {item['reason']}"


def label(board: str, labels: list[str], *, url: str, as_json: bool) -> None:
    """Set labels given as KEY=VALUE, and remove those given as KEY=."""
    changes = {}
    for text in labels:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"found the label {text!r}, expected KEY=VALUE (KEY= removes it)")
        changes[key] = value or None
    _patch(board, {"labels": changes}, url=url, as_json=as_json)


def drain(board: str, *, drained: bool, url: str, as_json: bool, wait: bool = False) -> None:
    """Stop or go on giving a board new jobs; with `wait` return when nothing runs there any more."""
    _patch(board, {"drained": drained}, url=url, as_json=as_json and not wait)
    if not wait:
        return
    with Controller(url) as controller:
        while (found := controller.call("GET", f"/boards/{board}"))["execution"] is not None:
            time.sleep(POLL_SECONDS)
    if as_json:
        print_json(found)
    else:
        say(f"{board}: nothing runs there any more")


def remove(board: str, *, force: bool, url: str, as_json: bool) -> None:
    """Take a board out of the fleet."""
    with Controller(url) as controller:
        done = controller.call("DELETE", f"/boards/{board}", params={"force": "yes" if force else "no"})
    if as_json:
        print_json(done)
    else:
        say(f"{board}: removed; what it measured stays, and its next start brings it back")


def _patch(board: str, change: dict[str, Any], *, url: str, as_json: bool) -> None:
    with Controller(url) as controller:
        found = controller.call("PATCH", f"/boards/{board}", json=change)
    if as_json:
        print_json(found)
    else:
        say(f"{board}: {_state(found)}; labels: {found['labels']}")
