"""Waves, pauses, windows, series and continuous jobs over both databases, with clocks that the tests move."""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import pytest_asyncio

from edgedyno.controller.rollout import steps
from edgedyno.controller.rollout.conductor import LOOK_AGAIN_SECONDS
from edgedyno.controller.store import executions, jobs, rollouts
from edgedyno.controller.store.boards import change_board, take_state
from edgedyno.controller.store.groups import write_group
from edgedyno.core.errors import UnsupportedError
from edgedyno.core.job import Retry, Timeouts
from edgedyno.core.messages import State, Telemetry
from edgedyno.core.rollout import Cron, Rollout, Window
from edgedyno.core.targets import BoardSelector, Except
from tests.controller.service.samples import resolved_job
from tests.controller.service.test_scheduler import TIMEOUTS, Fleet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edgedyno.controller.store.database import Database
    from edgedyno.controller.store.rollouts import Rolled
    from edgedyno.core.manifest import ResolvedJob
    from tests.controller.service.standins import ScriptedLaboratory

NAMES = "abcde"
NO_RETRY = Retry(infrastructure=0, device=0)


@pytest_asyncio.fixture
async def fleet(database: Database, laboratory: ScriptedLaboratory) -> AsyncIterator[Fleet]:
    """Return a fleet of five boards that are online."""
    made = Fleet(database, laboratory)
    for name in NAMES:
        made.add(name, labels={"row": "first" if name in "ab" else "second"})
        database.write_now(take_state, State(board=name, online=True, boot_id="b", session_epoch=1), 0.0)
    yield made
    await made.scheduler.close()


def job_of(**fields: Any) -> ResolvedJob:
    """Return a job whose specification has these fields."""
    resolved = resolved_job(timeouts=TIMEOUTS)
    spec = msgspec.structs.replace(resolved.spec, retry=NO_RETRY, **fields)
    return msgspec.structs.replace(resolved, spec=spec)


def started(fleet: Fleet, *boards: str) -> list[str]:
    """Have boards ask, and return those that got something."""
    return [board for board in boards if fleet.next(board).record is not None]


async def end(fleet: Fleet, board: str, state: str) -> None:
    """End what a board runs, and let the scheduler look."""
    assert fleet.update(fleet.next(board), state, board=board, reason="model.invalid: no").error is None
    await fleet.settle()


def states(fleet: Fleet, job: str) -> str:
    """Return the first letters of the executions' states, by board."""
    found = fleet.database.read_now(executions.of_jobs, [job])
    return "".join(e.state[0] for e in sorted(found, key=lambda e: e.board))


def rolled(fleet: Fleet, job: str) -> Rolled:
    """Return a job with what holds it back."""
    found = fleet.database.read_now(rollouts.read_rolled, job)
    assert found is not None
    return found


async def test_a_canary_that_succeeds_lets_the_next_waves_begin(fleet: Fleet) -> None:
    job = await fleet.submit(job_of(rollout=Rollout(canary=1, waves=[3])))
    assert started(fleet, *NAMES) == ["a"]
    fleet.rung.clear()
    await end(fleet, "a", "SUCCEEDED")
    assert set(fleet.rung) >= {"b", "c"}
    assert started(fleet, *NAMES) == ["b", "c"]
    await end(fleet, "b", "SUCCEEDED")
    assert started(fleet, "d", "e") == [], "the wave has not succeeded as a whole"
    await end(fleet, "c", "SUCCEEDED")
    assert started(fleet, "d", "e") == ["d", "e"]
    await end(fleet, "d", "SUCCEEDED")
    await end(fleet, "e", "SUCCEEDED")
    assert fleet.job_state(job) == "succeeded"


async def test_a_canary_that_fails_aborts_the_job_and_nobody_else_runs_it(fleet: Fleet) -> None:
    job = await fleet.submit(job_of(rollout=Rollout(canary=1)))
    await end(fleet, "a", "FAILED")
    assert started(fleet, *NAMES) == []
    assert states(fleet, job) == "FCCCC"
    reason = fleet.execution(job, "e").reason
    assert reason == (
        "rollout.aborted: wave 1: 1 of 1 executions failed: success: 100% can no longer be reached"
    )
    found = fleet.database.read_now(jobs.read_job, job)
    assert found is not None
    assert found.failure is not None
    assert (found.state, found.failure.code) == ("failed", "rollout.aborted")


async def test_an_aborted_job_that_is_retried_begins_again_with_its_canary(fleet: Fleet) -> None:
    job = await fleet.submit(job_of(rollout=Rollout(canary=1)))
    await end(fleet, "a", "FAILED")
    await fleet.scheduler.retry(job)
    assert started(fleet, *"bcde") == []
    await end(fleet, "a", "SUCCEEDED")
    assert started(fleet, *"bcde") == list("bcde")


async def test_nothing_starts_between_a_failure_and_the_leaders_look(fleet: Fleet) -> None:
    """What `next` grants is decided from the executions as they are, not from what a leader wrote last."""
    await fleet.submit(job_of(rollout=Rollout(failure=0.2, success=0.5)))
    answer = fleet.next("a")
    fleet.update(answer, "FAILED", reason="model.invalid: no")
    assert started(fleet, "b") == []


async def test_a_pause_between_waves_and_by_an_operator(fleet: Fleet) -> None:
    job = await fleet.submit(job_of(rollout=Rollout(canary=1, waves=[2], then="pause")))
    await end(fleet, "a", "SUCCEEDED")
    assert rolled(fleet, job).standing.reason == "wave 1: 1 of 1 executions succeeded: then: pause"
    assert started(fleet, *"bcde") == []
    await fleet.scheduler.resume(job)
    assert started(fleet, *"bcde") == ["b"]
    await fleet.scheduler.pause(job)
    with pytest.raises(UnsupportedError, match="paused already"):
        await fleet.scheduler.pause(job)
    await end(fleet, "b", "SUCCEEDED")
    assert started(fleet, *"cde") == []
    await fleet.scheduler.resume(job)
    await fleet.settle()
    assert rolled(fleet, job).standing.at_gate, "its own pause comes after the operator's"
    await fleet.scheduler.resume(job)
    assert started(fleet, *"cde") == list("cde")
    with pytest.raises(UnsupportedError, match="is not paused"):
        await fleet.scheduler.resume(job)


async def test_any_job_can_be_paused(fleet: Fleet) -> None:
    job, other = await fleet.submit(), await fleet.submit()
    await fleet.scheduler.pause(job)
    answer = fleet.next()
    assert answer.record is not None
    assert answer.record.job == other, "what is behind it goes first"
    assert fleet.update(answer, "SUCCEEDED").error is None
    assert started(fleet, "a") == []
    fleet.rung.clear()
    await fleet.scheduler.resume(job)
    assert set(fleet.rung) == set(NAMES)
    assert started(fleet, "a") == ["a"]


async def test_no_more_boards_than_allowed_run_at_once(fleet: Fleet) -> None:
    await fleet.submit(job_of(rollout=Rollout(max_boards=2)))
    assert started(fleet, *NAMES) == ["a", "b"]
    fleet.rung.clear()
    await end(fleet, "a", "SUCCEEDED")
    assert set(fleet.rung) >= set("cde")
    assert started(fleet, *"cde") == ["c"]


async def test_many_boards_that_ask_at_once_do_not_get_more_slots_than_there_are(fleet: Fleet) -> None:
    await fleet.submit(job_of(rollout=Rollout(max_boards=2)))
    got: list[str] = []
    threads = [threading.Thread(target=lambda name=name: got.extend(started(fleet, name))) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 2


async def test_waiting_for_the_controller_is_not_waiting_for_the_board(fleet: Fleet) -> None:
    timeouts = Timeouts(whole=1e6, silence=1e6, queue=500)
    job = await fleet.submit(job_of(rollout=Rollout(canary=1, max_boards=2), timeouts=timeouts))
    answer = fleet.next("a")
    await fleet.pass_seconds(5000)
    assert states(fleet, job) == "IQQQQ"
    fleet.update(answer, "SUCCEEDED")
    await fleet.settle()
    await fleet.pass_seconds(400)
    assert started(fleet, "b", "c") == ["b", "c"]
    await fleet.scheduler.tick()
    await fleet.pass_seconds(5000)
    assert states(fleet, job) == "SIIQQ", "both slots are taken"
    await end(fleet, "b", "SUCCEEDED")
    await fleet.pass_seconds(90)
    assert states(fleet, job) == "SSIQQ"
    await fleet.pass_seconds(20)
    assert states(fleet, job) == "SSITT", "after 400 and 110 s with a slot that nobody took"


async def test_outside_of_its_windows_nothing_starts_and_what_runs_goes_on(fleet: Fleet) -> None:
    night = Window("22:00", "06:00", timezone="Europe/Berlin")
    job = await fleet.submit(job_of(windows=[night]))
    assert started(fleet, "a") == []
    fleet.wall.utc = dt.datetime(2024, 1, 15, 21, 0, 1, tzinfo=dt.timezone.utc)
    fleet.rung.clear()
    await fleet.scheduler.tick()
    assert set(fleet.rung) == set(NAMES)
    assert started(fleet, "a") == ["a"]
    fleet.wall.utc += dt.timedelta(hours=9)
    await fleet.scheduler.tick()
    assert started(fleet, "b") == []
    assert fleet.update(fleet.next("a"), "SUCCEEDED").error is None
    await fleet.pass_seconds(5000)
    assert states(fleet, job) == "SQQQQ", "a closed window is no time in the queue"


async def test_a_board_has_to_be_idle_and_is_rung_when_it_is(fleet: Fleet) -> None:
    await fleet.submit(job_of(only_when_idle=True))

    def tell(load: float) -> None:
        fleet.presence.take_telemetry(Telemetry(board="a", session_epoch=1, uptime_seconds=1.0, load=load))

    assert started(fleet, "a") == [], "nobody told its load"
    tell(0.61)
    await fleet.scheduler.tick()
    assert started(fleet, "a") == []
    fleet.rung.clear()
    tell(0.60)
    await fleet.scheduler.tick()
    assert fleet.rung == ["a"]
    assert started(fleet, "a") == ["a"]
    fleet.time.seconds += 61
    assert started(fleet, "b") == []


async def test_a_series_runs_at_its_times_and_never_twice_at_once(fleet: Fleet) -> None:
    series = await fleet.submit(job_of(schedule=Cron("0 2 * * *", "Europe/Berlin")))
    assert (fleet.job_state(series), started(fleet, *NAMES)) == ("scheduled", [])

    def runs() -> list[str]:
        return fleet.database.read_now(rollouts.runs_of, series)

    async def at(day: int, hour: int, minute: int = 0) -> None:
        fleet.wall.utc = dt.datetime(2024, 1, day, hour, minute, tzinfo=dt.timezone.utc)
        await fleet.settle()

    await at(16, 0, 59)
    assert runs() == []
    await at(16, 1)
    (first,) = runs()
    assert started(fleet, "a") == ["a"]
    await at(17, 1)
    assert runs() == [first]
    note = rolled(fleet, series).standing.reason
    assert note == f"2024-01-17T01:00:00Z was left out: {first} was still going on"
    for board in NAMES:
        await end(fleet, board, "SUCCEEDED")
    assert fleet.job_state(first) == "succeeded"
    await at(20, 1, 30)
    second, _ = runs()
    assert rolled(fleet, series).next_at_utc == "2024-01-21T01:00:00Z"
    await fleet.scheduler.pause(series)
    await at(21, 1)
    assert len(runs()) == 2
    await fleet.scheduler.resume(series)
    await at(21, 1, 1)
    assert len(runs()) == 2, "what came while it was paused is not made up for"
    await fleet.scheduler.cancel(series)
    await fleet.settle()
    assert (fleet.job_state(series), fleet.job_state(second)) == ("canceled", "canceled")
    await at(25, 1)
    assert len(runs()) == 2


async def test_a_series_whose_boards_are_gone_says_so_and_goes_on(fleet: Fleet) -> None:
    series = await fleet.submit(
        job_of(schedule=Cron("0 * * * *"), boards=BoardSelector(labels={"row": "first"}))
    )
    for board in "ab":
        fleet.database.write_now(change_board, board, labels={}, drained=True)
    fleet.wall.utc += dt.timedelta(hours=1)
    await fleet.settle()
    assert "was left out: boards: none matches" in str(rolled(fleet, series).standing.reason)
    fleet.database.write_now(change_board, "a", labels={}, drained=False)
    fleet.wall.utc += dt.timedelta(hours=1)
    await fleet.settle()
    (run,) = fleet.database.read_now(rollouts.runs_of, series)
    assert states(fleet, run) == "Q"


async def test_a_board_that_comes_later_gets_a_continuous_job(fleet: Fleet) -> None:
    job = await fleet.submit(
        job_of(schedule="continuous", boards=BoardSelector(labels={"row": ["first", "third"]}))
    )
    await end(fleet, "a", "SUCCEEDED")
    await end(fleet, "b", "SUCCEEDED")
    assert fleet.job_state(job) == "active", "it waits for more"
    assert fleet.laboratory.judged >= 1, "what there is has its verdicts"
    fleet.add("f", labels={"row": "third"}, features=())
    fleet.time.seconds += LOOK_AGAIN_SECONDS
    await fleet.settle()
    assert started(fleet, "f", "c") == ["f"]
    assert fleet.laboratory.builds == [False, True]
    fleet.database.write_now(change_board, "c", labels={"row": "first"}, drained=None)
    fleet.time.seconds += LOOK_AGAIN_SECONDS
    await fleet.settle()
    assert started(fleet, "c") == ["c"]
    assert fleet.laboratory.builds == [False, True], "what is built serves"
    await fleet.scheduler.cancel(job)
    for board in "cf":
        await end(fleet, board, "CANCELED")
    assert fleet.job_state(job) == "canceled"


async def test_a_continuous_job_may_begin_without_a_board(fleet: Fleet) -> None:
    job = await fleet.submit(
        job_of(schedule="continuous", boards=BoardSelector(ids=["z"]), rollout=Rollout(canary=1))
    )
    assert fleet.job_state(job) == "active"
    fleet.add("z")
    fleet.time.seconds += LOOK_AGAIN_SECONDS
    await fleet.settle()
    assert started(fleet, "z") == ["z"]


async def test_groups_and_exclusions_choose_boards(fleet: Fleet) -> None:
    fleet.database.write_now(write_group, "front", BoardSelector(labels={"row": "first"}))
    for selector, chosen in (
        (BoardSelector(groups=["front"]), "ab"),
        (BoardSelector(groups=["front"], ids=["e"]), "abe"),
        (BoardSelector(except_=Except(groups=["front"], ids=["d"])), "ce"),
        (BoardSelector(labels={"row": ["first", "second"]}, except_=Except(labels={"row": "first"})), "cde"),
    ):
        _, boards = await fleet.scheduler.submit(job_of(boards=selector), lambda _: True)
        assert "".join(sorted(boards)) == chosen
    for selector, text in (
        (BoardSelector(groups=["font"]), "boards.groups: found no group 'font'; did you mean 'front'?"),
        (
            BoardSelector(labels={"rwo": "x"}),
            "boards.labels: no board has a label 'rwo'; did you mean 'row'?",
        ),
        (BoardSelector(labels={"row": ["frist"]}), "no board has the value 'frist'; did you mean 'first'?"),
        (
            BoardSelector(except_=Except(ids=["aa"])),
            "boards.except.ids: found no board 'aa'; did you mean 'a'?",
        ),
    ):
        with pytest.raises(UnsupportedError) as caught:
            await fleet.scheduler.submit(job_of(boards=selector), lambda _: True)
        assert text in str(caught.value)


async def test_the_canary_is_online_and_may_be_chosen(fleet: Fleet) -> None:
    fleet.database.write_now(take_state, State(board="a", online=False, boot_id="b", session_epoch=1), 0.0)
    await fleet.submit(job_of(rollout=Rollout(canary="20%")))
    assert started(fleet, *NAMES) == ["b"]
    chosen = Rollout(canary=BoardSelector(ids=["d", "e"]))
    await fleet.submit(job_of(rollout=chosen, boards=BoardSelector(labels={"row": "second"})))
    assert started(fleet, *"cde") == ["d", "e"]
    with pytest.raises(UnsupportedError, match=r"rollout.canary: none of the job's boards matches"):
        await fleet.submit(job_of(rollout=chosen, boards=BoardSelector(ids=["a"])))


async def test_another_replica_goes_on_in_the_middle(
    fleet: Fleet, database: Database, laboratory: ScriptedLaboratory
) -> None:
    job = await fleet.submit(job_of(rollout=Rollout(canary=1, waves=[2], max_boards=1)))
    await end(fleet, "a", "SUCCEEDED")
    database.write_now(fleet.clock.save)
    await fleet.scheduler.close()
    after = Fleet(database, laboratory)
    database.read_now(after.clock.load)
    assert started(after, *"bcde") == ["b"]
    await end(after, "b", "SUCCEEDED")
    assert started(after, *"cde") == ["c"]
    await end(after, "c", "FAILED")
    assert states(after, job) == "SSFCC"
    await after.scheduler.close()


async def test_what_nothing_holds_back_costs_no_look(fleet: Fleet) -> None:
    await fleet.submit()
    assert fleet.database.read_now(steps.survey, fleet.moment()) == []
