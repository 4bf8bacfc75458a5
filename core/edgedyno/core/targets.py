"""Which boards are meant: by id, label, group, or all, less some. Choosing among real boards is the controller's."""

from __future__ import annotations

from msgspec import Struct, field

Labels = dict[str, str | list[str]]
"""Labels that a board must all have; a list names the values that will do."""


class Except(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Boards to leave out: those with one of the ids, those with all the labels, those of the groups."""

    ids: list[str] = []
    labels: Labels = {}
    groups: list[str] = []


class BoardSelector(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which boards: by id, by labels (all of them must match), by group, or every one; each adds boards."""

    ids: list[str] = []
    labels: Labels = {}
    groups: list[str] = []
    """Names of selectors that the controller keeps (`edgedyno groups set`)."""
    all: bool = False
    except_: Except = field(default=Except(), name="except")
    """Given alone, it means all but these."""
