"""What would become of a job if it were submitted now: its boards by wave, who is left out, when it could start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.rollout.check import check_spec
from edgedyno.controller.rollout.cron import next_after
from edgedyno.controller.rollout.decision import Standing, decide
from edgedyno.controller.rollout.holds import Hold, hold_of_board, hold_of_job, in_utc
from edgedyno.controller.rollout.placement import placement_of
from edgedyno.controller.rollout.targets import choose
from edgedyno.controller.store.boards import read_boards
from edgedyno.controller.store.groups import read_groups
from edgedyno.controller.submission import plan_waves
from edgedyno.core.rollout import Cron

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import Connection

    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.core.job import JobSpec

_TIMES = 3


class Plan(Struct, frozen=True, omit_defaults=True):
    """Where a job would go."""

    boards: list[str]
    waves: list[list[str]]
    left_out: dict[str, str]
    """Every other board, and why."""
    offline: list[str]
    """Chosen boards that are not there now; they get the job when they come."""
    max_boards: int | None = None
    waits: Hold | None = None
    """What all of it would wait for now."""
    busy: dict[str, Hold] = {}
    """What single boards would wait for now."""
    continuous: bool = False
    times: list[str] = []
    """The next times of a series."""


def plan(connection: Connection, spec: JobSpec, moment: Moment) -> Plan:
    """Return where a job would go now. Raises what submitting it would."""
    check_spec(spec)
    waves = plan_waves(connection, spec)
    boards, groups = read_boards(connection), read_groups(connection)
    chosen = [board for wave in waves for board in wave]
    placement = placement_of(spec)
    busy = {}
    for board in boards:
        capabilities = board.capabilities
        cpus = sum(len(cluster.cpus) for cluster in capabilities.cpu.clusters) if capabilities else None
        hold = hold_of_board(placement, board.board, cpus, moment)
        if hold is not None and board.board in chosen:
            busy[board.board] = hold
    return Plan(
        boards=chosen,
        waves=waves,
        left_out=choose(boards, spec.boards, groups).left_out,
        offline=[board.board for board in boards if board.board in chosen and not board.online],
        max_boards=spec.rollout.max_boards if spec.rollout else None,
        waits=hold_of_job(placement, decide(None, Standing(), []), moment),
        busy=busy,
        continuous=placement.continuous,
        times=_times(spec, moment.utc),
    )


def _times(spec: JobSpec, now: dt.datetime) -> list[str]:
    times: list[str] = []
    for _ in range(_TIMES if isinstance(spec.schedule, Cron) else 0):
        now = next_after(spec.schedule, now)  # type: ignore[arg-type] # the range is empty for others
        times.append(in_utc(now))
    return times
