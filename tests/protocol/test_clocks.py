"""Wall clocks that step, and time in which no controller ran: neither counts. And how long a retry waits."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedyno.controller.clock import FleetClock
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate
from edgedyno.core.failures import wait_seconds
from edgedyno.core.job import Retry, Timeouts
from tests.conftest import wait_until
from tests.controller.service.standins import Clock
from tests.protocol.conftest import known, new_name, submit, take
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.agent.fleet.conftest import AgentProcess
    from tests.controller.service.standins import Board
    from tests.protocol.controlled import Controlled

TEN_YEARS_SECONDS = 3.2e8


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Let leases be short beside the steps."""
    return {"lease_seconds": 3.0}


@rule("R27")
def test_steps_of_either_wall_clock_change_nothing(
    controller: Controlled, make_agent: Callable[..., AgentProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new_name()
    agent = make_agent(name)
    agent.command = [sys.executable, "-m", "tests.protocol.stepped"]
    clock = Path(agent.config).with_suffix(".clock")
    agent.script(trials=30, pause_seconds=0.1)
    agent.start()
    known(controller, name)
    job = submit(controller, name, timeouts=Timeouts(whole=60.0, silence=30.0, queue=60.0))
    real = time.time
    for step in (TEN_YEARS_SECONDS, -TEN_YEARS_SECONDS):
        done = len(controller.results(job))
        clock.write_text(str(step))
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        wait_until(lambda: len(controller.results(job)) > done, what="results under a stepped clock")  # noqa: B023
    record = controller.wait_state(job, "SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELED")
    assert (record["state"], record["attempt"]) == ("SUCCEEDED", 1)
    assert len(agent.starts) == 1
    assert len(controller.results(job)) == 30
    years = {line[:4] for line in agent.log.read_text().splitlines() if line[:2] == "20"}
    assert len(years) >= 2, "the agent's wall clock did step"


@rule("R28")
def test_the_fleet_clock_goes_on_where_the_last_controller_left_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    migrate(database.engine)
    monotonic = Clock()
    first = FleetClock(monotonic)
    monotonic.seconds += 50.0
    database.write_now(first.save)
    monotonic.seconds += 10_000.0
    second = FleetClock(monotonic)
    database.read_now(second.load)
    assert second.now() == first.now() - 10_000.0 == 50.0
    database.close()


@rule("R28")
@pytest.mark.long
def test_a_controller_that_was_away_does_not_count_its_absence(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, timeouts=Timeouts(whole=6.0))
    take(board, job)
    controller.stop()
    time.sleep(7.0)
    controller.start()
    assert controller.state(job) == "IN_PROGRESS"
    controller.wait_state(job, "TIMED_OUT")


@rule("R43")
@given(
    chance=st.floats(0, 1),
    retries=st.integers(1, 2000),
    backoff=st.floats(0.1, 1e4),
    most=st.floats(0.1, 1e6),
)
def test_the_wait_doubles_up_to_its_limit_with_half_of_it_left_to_chance(
    chance: float, retries: int, backoff: float, most: float
) -> None:
    policy = Retry(backoff=backoff, backoff_max=most)
    whole = min(most, backoff * 2.0 ** min(retries - 1, 1000)) if retries < 900 else min(most, 1e300)
    assert whole / 2 <= wait_seconds(policy, retries, chance) <= whole * (1 + 1e-9)
    assert wait_seconds(policy, retries, 0.0) * 2 == pytest.approx(wait_seconds(policy, retries, 1.0))
