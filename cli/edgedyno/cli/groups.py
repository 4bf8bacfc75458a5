"""`edgedyno groups`: set, list, show, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_table, say
from edgedyno.core.errors import ConfigError
from edgedyno.core.targets import BoardSelector, Except

if TYPE_CHECKING:
    from collections.abc import Iterable


def selector_of(
    ids: list[str], labels: list[str], without: list[str], without_labels: list[str], *, everyone: bool
) -> BoardSelector:
    """Return the selector that the options mean. Raises ConfigError when they name nothing."""
    selector = BoardSelector(
        ids=ids,
        labels=_labels(labels),
        all=everyone,
        except_=Except(ids=without, labels=_labels(without_labels)),
    )
    if selector == BoardSelector():
        raise ConfigError(
            "found no boards for the group, expected BOARD..., --label KEY=VALUE, --all or --except BOARD",
            code="group.empty",
        )
    return selector


def _labels(texts: Iterable[str]) -> dict[str, str | list[str]]:
    """Read KEY=VALUE or KEY=VALUE,VALUE."""
    labels: dict[str, str | list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise ConfigError(f"found the label {text!r}, expected KEY=VALUE or KEY=VALUE,VALUE")
        values = value.split(",")
        labels[key] = values if len(values) > 1 else value
    return labels


def set_group(name: str, selector: BoardSelector, *, url: str, as_json: bool) -> None:
    """Make a group, or put another selector in its place."""
    with Controller(url) as controller:
        found = controller.call("PUT", f"/groups/{name}", content=msgspec.json.encode(selector))
    if as_json:
        print_json(found)
    else:
        say(f"{name}: {', '.join(found['boards']) or 'no board now'}")


def list_groups(*, url: str, as_json: bool) -> None:
    """Print all groups with the boards that they mean now."""
    with Controller(url) as controller:
        groups = controller.call("GET", "/groups")["groups"]
    if as_json:
        print_json(groups)
        return
    print_table("", ("group", "means", "boards now"), [_row(group) for group in groups])
    if not groups:
        say("there are no groups; make one with: edgedyno groups set NAME --label KEY=VALUE")


def show_group(name: str, *, url: str, as_json: bool) -> None:
    """Print one group."""
    with Controller(url) as controller:
        found = controller.call("GET", f"/groups/{name}")
    if as_json:
        print_json(found)
    else:
        print_table("", ("group", "means", "boards now"), [_row(found)])


def remove_group(name: str, *, url: str, as_json: bool) -> None:
    """Remove a group."""
    with Controller(url) as controller:
        found = controller.call("DELETE", f"/groups/{name}")
    if as_json:
        print_json(found)
    else:
        say(f"{name} is removed")


def _row(group: dict[str, Any]) -> list[object]:
    return [group["group"], msgspec.json.encode(group["selector"]).decode(), ", ".join(group["boards"])]
