"""The promises of a rollout, each over a real controller, a real broker and several real agents."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.conftest import wait_until
from tests.rollout.fleet import RolloutFleet

if TYPE_CHECKING:
    from collections.abc import Iterator

BOARDS = ("board-a", "board-b", "board-c", "board-d")
A, B, C, D = BOARDS
LATER = "board-e"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutFleet]:
    """Start one fleet for all these tests."""
    fleet = RolloutFleet(tmp_path_factory.mktemp("fleet"))
    try:
        fleet.broker.start()
        fleet.start_controller()
        for board in BOARDS:
            fleet.start_agent(board)
        fleet.wait_online(*BOARDS)
        yield fleet
    finally:
        fleet.stop_all()


@pytest.fixture
def fleet(running: RolloutFleet) -> RolloutFleet:
    """Return the fleet with its boards quick and well."""
    running.script(*BOARDS)
    running.set_clock(dt.datetime.now(dt.timezone.utc))
    return running


def test_a_canary_that_succeeds_is_followed_by_the_others(fleet: RolloutFleet) -> None:
    fleet.script(A, seconds=1.0)
    before = {board: fleet.starts(board) for board in BOARDS}
    job = fleet.submit("rollout: {canary: 1, waves: [2, 100%]}")
    wait_until(lambda: fleet.running(job) == [A], seconds=60, what="the canary's start")
    waits = {
        place["board"]: place.get("waits", {}).get("text") for place in fleet.job(job)["rollout"]["boards"]
    }
    assert waits == {
        A: None,
        B: "wave 2 begins after wave 1 has succeeded",
        C: "wave 3 begins after wave 2 has succeeded",
        D: "wave 3 begins after wave 2 has succeeded",
    }
    assert fleet.wait_end(job) == "succeeded"
    assert {board: fleet.starts(board) for board in BOARDS} == {b: n + 1 for b, n in before.items()}
    times = [(fleet.folder / f"{board}.starts").stat().st_mtime for board in BOARDS]
    assert times[0] + 1.0 <= times[1] <= min(times[2:])


def test_a_canary_that_fails_aborts_the_job_and_nobody_else_ran_it(fleet: RolloutFleet) -> None:
    fleet.script(A, fails=True)
    before = {board: fleet.starts(board) for board in BOARDS}
    job = fleet.submit("rollout: {canary: 1}")
    assert fleet.wait_end(job) == "failed"
    assert fleet.states(job) == {A: "FAILED", B: "CANCELED", C: "CANCELED", D: "CANCELED"}
    after = {board: fleet.starts(board) for board in BOARDS}
    assert after == {**before, A: before[A] + 1}
    shown = fleet.edgedyno("jobs", "show", job)
    assert "aborted: wave 1: 1 of 1 executions failed" in shown
    text = httpx.get(f"{fleet.url}/metrics", trust_env=False).text
    name = job.rpartition("-")[0]
    assert f'edgedyno_rollout_status{{name="{name}",status="aborted"}} 1.0' in text


def test_pause_and_resume(fleet: RolloutFleet) -> None:
    before = fleet.starts(D)
    job = fleet.submit("rollout: {canary: 2, then: pause}")
    fleet.wait_status(job, "paused")
    time.sleep(1.5)  # a scheduler's tick, and what a board needs to begin
    assert fleet.starts(D) == before
    assert "paused: wave 1: 2 of 2 executions succeeded" in fleet.edgedyno("jobs", "show", job)
    assert "paused" in fleet.edgedyno("jobs", "list")
    fleet.edgedyno("jobs", "resume", job)
    assert fleet.wait_end(job) == "succeeded"
    assert "has ended" in fleet.edgedyno("jobs", "resume", job, code=2)


def test_no_more_boards_than_allowed_run_at_once(fleet: RolloutFleet) -> None:
    fleet.script(*BOARDS, seconds=0.7)
    job = fleet.submit("rollout: {max_boards: 2}")
    most = 0

    def ended() -> bool:
        nonlocal most
        most = max(most, len(fleet.running(job)))
        return bool(fleet.job(job)["state"] == "succeeded")

    wait_until(ended, seconds=60, what="the end")
    assert most == 2


def test_a_window_holds_back_and_lets_go(fleet: RolloutFleet) -> None:
    day = dt.datetime.now(dt.timezone.utc).date() + dt.timedelta(days=1)
    noon = dt.datetime.combine(day, dt.time(12), dt.timezone.utc)
    fleet.set_clock(noon)
    fleet.script(A, seconds=3.0)
    before = fleet.starts(A)
    job = fleet.submit(
        f"boards: {{ids: [{A}, {B}]}}\nrollout: {{max_boards: 1}}\nwindows: [{{from: 22:00, to: 06:00}}]"
    )
    fleet.wait_status(job, "waiting")
    time.sleep(1.5)
    assert fleet.starts(A) == before
    assert f"outside of the job's windows, until {day}T22:00:00Z" in fleet.edgedyno("jobs", "show", job)
    fleet.set_clock(noon + dt.timedelta(hours=10))
    wait_until(lambda: fleet.running(job), seconds=60, what="a start within the window")
    (first,) = fleet.running(job)
    fleet.set_clock(noon + dt.timedelta(hours=20))
    fleet.wait_status(job, "waiting")
    wait_until(lambda: fleet.states(job)[first] == "SUCCEEDED", seconds=60, what="the end of what ran")
    time.sleep(1.5)
    assert sorted(fleet.states(job).values()) == ["QUEUED", "SUCCEEDED"]
    fleet.set_clock(noon + dt.timedelta(hours=34))
    assert fleet.wait_end(job) == "succeeded"


def test_a_series_runs_when_its_time_comes(fleet: RolloutFleet) -> None:
    day = dt.datetime.now(dt.timezone.utc).date() + dt.timedelta(days=2)
    fleet.set_clock(dt.datetime.combine(day, dt.time(1, 30), dt.timezone.utc))
    series = fleet.submit(f"boards: {{ids: [{A}]}}\nschedule: {{cron: '0 2 * * *'}}")
    assert f"cron 0 2 * * * UTC, next {day}T02:00:00Z" in fleet.edgedyno("jobs", "show", series)
    fleet.set_clock(dt.datetime.combine(day, dt.time(2), dt.timezone.utc))
    wait_until(lambda: fleet.job(series)["rollout"].get("runs"), seconds=30, what="a run")
    (run,) = fleet.job(series)["rollout"]["runs"]
    assert fleet.wait_end(run) == "succeeded"
    assert "is a series" in fleet.edgedyno("jobs", "watch", series, code=2)
    fleet.edgedyno("jobs", "cancel", series)
    assert fleet.job(series)["state"] == "canceled"


def test_the_controller_is_killed_in_the_middle_and_the_rollout_goes_on(fleet: RolloutFleet) -> None:
    fleet.script(*BOARDS, seconds=1.0)
    job = fleet.submit("rollout: {canary: 1, waves: [2]}")
    wait_until(lambda: fleet.running(job) == [A], seconds=60, what="the canary's start")
    fleet.kill("controller")
    fleet.start_controller()
    assert fleet.wait_end(job) == "succeeded"
    assert [wave["succeeded"] for wave in fleet.job(job)["rollout"]["waves"]] == [1, 1, 2]


def test_a_dry_run_and_groups(fleet: RolloutFleet) -> None:
    fleet.edgedyno("groups", "set", "lab", "--all", "--except", D)
    shown = fleet.edgedyno("groups", "list")
    assert f"{A}, {B}, {C}" in shown
    path = fleet.folder / "dry.yaml"
    path.write_text(
        "name: dry\nmodel: fastestdet\nboards: {groups: [lab]}\nrollout: {canary: 1, max_boards: 2}\n"
    )
    told = fleet.edgedyno("jobs", "submit", str(path), "--dry-run").splitlines()
    for line in ((A, "wave 1"), (B, "wave 2"), (C, "wave 2"), (D, "not", "not in the group 'lab'")):
        assert any(all(word in text for word in line) for text in told), told
    assert "at most 2 boards at once" in told
    path.write_text("name: dry\nmodel: fastestdet\nboards: {groups: [lob]}\n")
    assert "did you mean 'lab'?" in fleet.edgedyno("jobs", "submit", str(path), "--dry-run", code=2)
    fleet.edgedyno("groups", "remove", "lab")
    assert "found no group 'lab'" in fleet.edgedyno("groups", "show", "lab", code=2)


def test_a_board_that_joins_later_gets_the_continuous_job(fleet: RolloutFleet) -> None:
    job = fleet.submit("schedule: continuous")
    wait_until(
        lambda: set(fleet.states(job).values()) == {"SUCCEEDED"}, seconds=60, what="the first boards' end"
    )
    assert fleet.job(job)["state"] == "active"
    fleet.start_agent(LATER)
    wait_until(lambda: fleet.states(job).get(LATER) == "SUCCEEDED", seconds=60, what="the newcomer's end")
    fleet.edgedyno("jobs", "cancel", job)
    assert fleet.wait_end(job) == "canceled"
    assert fleet.starts(LATER) == 1
