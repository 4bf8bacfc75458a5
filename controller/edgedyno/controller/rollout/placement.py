"""What a job says of where and when it runs, as the store keeps it beside the job, small enough to be read often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.controller.rollout.decision import Standing
from edgedyno.core.rollout import Rollout, Schedule, Window
from edgedyno.core.targets import BoardSelector

if TYPE_CHECKING:
    from edgedyno.core.job import JobSpec


class Placement(Struct, frozen=True, omit_defaults=True):
    """The parts of a job's specification that hold executions back."""

    rollout: Rollout | None = None
    windows: list[Window] = []
    only_when_idle: bool = False
    schedule: Schedule | None = None
    boards: BoardSelector | None = None
    """Of a job that looks for its boards more than once."""

    @property
    def continuous(self) -> bool:
        """Whether boards that come later get the job too."""
        return self.schedule == "continuous"


_placement = msgspec.json.Decoder(Placement)
_standing = msgspec.json.Decoder(Standing)


def placement_of(spec: JobSpec) -> Placement:
    """Return what a job says of where and when it runs."""
    boards = spec.boards if spec.schedule is not None else None
    return Placement(spec.rollout, spec.windows, spec.only_when_idle, spec.schedule, boards)


def encode_placement(placement: Placement) -> str | None:
    """Return it as the store has it; None where nothing holds a job back."""
    return msgspec.json.encode(placement).decode() if placement != Placement() else None


def decode_placement(text: str | None) -> Placement:
    """Return what the store has."""
    return _placement.decode(text) if text else Placement()


def encode_standing(standing: Standing) -> str | None:
    """Return it as the store has it; None for one that has just begun."""
    return msgspec.json.encode(standing).decode() if standing != Standing() else None


def decode_standing(text: str | None) -> Standing:
    """Return what the store has."""
    return _standing.decode(text) if text else Standing()
