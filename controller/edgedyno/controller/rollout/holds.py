"""What keeps an execution from starting, and until when. Pure; the one place that puts it into words."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.rollout.windows import closed_until

if TYPE_CHECKING:
    from edgedyno.controller.rollout.decision import Decision
    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.controller.rollout.placement import Placement

IDLE_LOAD = 0.15
"""Load average over one minute for each CPU up to which a board is idle: its own daemons, an open shell."""


class Hold(Struct, frozen=True, omit_defaults=True):
    """Why something does not start now."""

    code: str
    text: str
    until: str | None = None
    """UTC; None where only an event ends it."""


def hold_of_job(placement: Placement, decision: Decision, moment: Moment) -> Hold | None:
    """Return what holds all of a job back."""
    standing = decision.standing
    if standing.status != "running":
        return Hold(f"rollout.{standing.status}", standing.reason or f"the job is {standing.status}")
    opens_at = closed_until(placement.windows, moment.utc)
    if opens_at is not None:
        return Hold("window.closed", "outside of the job's windows", in_utc(opens_at))
    if decision.slots == 0:
        limit = placement.rollout.max_boards if placement.rollout else None
        return Hold("rollout.max-boards", f"{limit} boards run the job already")
    return None


def hold_of_wave(decision: Decision, wave: int) -> Hold | None:
    """Return what holds a wave back."""
    if decision.allows(wave) or wave <= decision.standing.wave:
        return None
    return Hold("rollout.wave", f"wave {wave + 1} begins after wave {wave} has succeeded")


def hold_of_board(placement: Placement, board: str, cpus: int | None, moment: Moment) -> Hold | None:
    """Return what a board's own business holds back; `cpus` is None where they are not known."""
    if not placement.only_when_idle:
        return None
    load = moment.load_of(board)
    if load is None or not cpus:
        return Hold("board.load-unknown", "no heartbeat told the board's load within the last minute")
    if load > IDLE_LOAD * cpus:
        return Hold(
            "board.busy",
            f"load {load:.2f} on {cpus} CPUs, idle is up to {IDLE_LOAD * cpus:.2f}",
        )
    return None


def in_utc(moment: dt.datetime) -> str:
    """Write a moment as the API does."""
    return moment.astimezone(dt.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
