"""What the scenarios share: what they are given and tell, how a trial fails, which reasons are excused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from edgedyno.agent.measure.race import Pace

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.gating import Gate
    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.supervisor import Launch, TrialError
    from edgedyno.agent.measure.validity import Observation, Watch


class Setting(NamedTuple):
    """What a scenario is measured with."""

    seconds: float
    """For the whole group."""
    precision: float
    watch: Watch
    gate: Gate
    order: random.Random
    launch: Launch
    tensor: Path
    """What is inferred."""
    memory_bytes: float
    """For all workers together."""


def fail(contender: Contender, error: TrialError) -> None:
    """Write down why a trial cannot go on, and end its worker."""
    contender.log.failure = error.failure
    contender.log.finished = True
    contender.close()


def teller(group: Sequence[Contender], between: Callable[[Pace], None]) -> Callable[[float], None]:
    """Return a function that tells `between` how many trials are finished, given the seconds that are left."""
    return lambda left: between(Pace(sum(contender.log.finished for contender in group), max(0.0, left)))


def next_block(logs: Sequence[TrialLog]) -> int:
    """Return the first number that no burst of these trials has."""
    return 1 + max((burst.block for log in logs for burst in log.bursts), default=-1)


def excused(observation: Observation, beginnings: tuple[str, ...]) -> Observation:
    """Return the observation without the reasons that begin so: the scenario itself brings them about."""
    if not beginnings:
        return observation
    reasons = [text for text in observation.validity.reasons if not text.startswith(beginnings)]
    validity = structs.replace(observation.validity, valid=not reasons, reasons=reasons)
    return structs.replace(observation, validity=validity)
