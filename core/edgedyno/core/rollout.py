"""How a job comes to its boards: in waves, on a schedule, within windows. What is decided of it is the controller's."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from edgedyno.core.targets import BoardSelector
from edgedyno.core.units import Ratio, Seconds

Size = Annotated[int, Meta(ge=1)] | Annotated[str, Meta(pattern=r"^\s*\d+(\.\d+)?\s*%\s*$", examples=["10%"])]
"""So many boards, or such a share of the job's boards."""
# YAML 1.1 reads 22:00 without quotes as 22 times 60: minutes of the day, which is what is meant.
ClockTime = (
    Annotated[int, Meta(ge=0, le=1440)]
    | Annotated[str, Meta(pattern=r"^([01]?\d|2[0-3]):[0-5]\d$|^24:00$", examples=["22:00"])]
)
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_SHARE = Meta(gt=0, le=1)


class Rollout(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Boards get the job in waves; each wave has to succeed before the next may begin."""

    canary: Size | BoardSelector | None = None
    """The first wave: so many boards, a share, or chosen ones among the job's."""
    waves: list[Size] = []
    """How many boards have the job in all after each wave, growing; the rest follow at the end."""
    success: Annotated[Ratio, _SHARE] = 1.0
    """Share of a wave's executions that must have SUCCEEDED before the next wave."""
    failure: Annotated[Ratio, _SHARE] | None = None
    """Share of a wave's executions that, once they ended otherwise, abort the job; by default as soon as `success`
    can no longer be reached."""
    then: Literal["next", "pause"] = "next"
    """What follows a wave that succeeded; a paused job goes on with `edgedyno jobs resume`."""
    max_boards: Annotated[int, Meta(ge=1)] | None = None
    """Boards that may run the job at the same time."""


class Window(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time of the day in which executions may start; to a time before `from`, it ends on the next day."""

    from_: ClockTime = field(name="from")
    to: ClockTime
    days: list[Day] = []
    """Days on which it begins; empty: every day."""
    timezone: str = "UTC"


class Cron(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Times at which the job is run anew."""

    cron: Annotated[str, Meta(examples=["0 2 * * *"])]
    """Minute, hour, day of the month, month, day of the week."""
    timezone: str = "UTC"
    late: Annotated[Seconds, Meta(ge=0)] = 3600.0
    """A time that was missed by more than this, because no controller was there, is left out."""


Schedule = Cron | Literal["continuous"]
"""`continuous`: boards that join or match later get the job too."""
