"""Jobs, leases and timeouts over both databases, with a clock that the tests move."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import pytest_asyncio

from edgedyno.controller import lifecycle, requests
from edgedyno.controller.clock import FleetClock
from edgedyno.controller.lab.variants import wanted_formats
from edgedyno.controller.presence import Presence
from edgedyno.controller.rollout.moment import Moment, moment_of
from edgedyno.controller.scheduler import Scheduler
from edgedyno.controller.store import executions, jobs
from edgedyno.controller.store.boards import add_board, change_board, take_caps, take_state
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.errors import RunError, UnsupportedError
from edgedyno.core.job import Timeouts
from edgedyno.core.messages import Caps, Get, Next, Renew, Response, State, Update
from edgedyno.core.targets import BoardSelector
from tests.controller.service.samples import capabilities, resolved_job
from tests.controller.service.standins import Clock, ScriptedLaboratory, WallClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from edgedyno.controller.store.database import Database
    from edgedyno.controller.store.executions import Execution
    from edgedyno.core.manifest import ResolvedJob

LEASE = 60.0
TIMEOUTS = Timeouts(whole=1000, silence=300, queue=2000)


class Fleet:
    """A scheduler without a service, and boards that ask by calls."""

    def __init__(self, database: Database, laboratory: ScriptedLaboratory) -> None:
        self.database = database
        self.laboratory = laboratory
        self.time = Clock()
        self.wall = WallClock()
        self.clock = FleetClock(self.time, self.wall)
        self.presence = Presence(self.clock.now)
        self.rung: list[str] = []
        self.scheduler = Scheduler(
            database,
            laboratory,
            self.clock,
            self.presence,
            self._ring,
            needs_reduce_range=lambda features: "asimddp" not in features,
            wanted_formats=lambda resolved, runtimes: wanted_formats(
                resolved.spec.sweep, runtimes, ["ncnn"], resolved.prebuilt
            ),
        )
        self._requests = 0

    def _ring(self, boards: Iterable[str]) -> None:
        self.rung += boards

    def add(self, board: str, **options: Any) -> None:
        """Have a board known."""
        self.database.write_now(add_board, board, 0.0)
        caps = Caps(board=board, session_epoch=1, capabilities=capabilities(**options))
        self.database.write_now(take_caps, caps, 0.0)

    async def submit(self, resolved: ResolvedJob | None = None) -> str:
        """Submit a job whose files are all there and have it built."""
        job, _ = await self.scheduler.submit(resolved or resolved_job(timeouts=TIMEOUTS), lambda _: True)
        await self.settle()
        return job

    async def settle(self) -> None:
        """Tick until builds and scores are done."""
        for _ in range(3):
            await self.scheduler.tick()
            for _ in range(5000):
                if not self.scheduler.busy:
                    break
                await asyncio.sleep(0.002)

    def ask(self, board: str, make: Callable[[str], Any]) -> Response:
        """Have one request answered."""
        self._requests += 1
        answer = self.database.write_now(
            requests.answer,
            board,
            make(f"r{self._requests}"),
            now_seconds=self.clock.now(),
            lease_seconds=LEASE,
            moment=self.moment(),
        )
        return answer.response

    def moment(self) -> Moment:
        """Look at the world."""
        return moment_of(self.clock, self.presence)

    def next(self, board: str = "a") -> Response:
        """Ask for work."""
        return self.ask(board, lambda request_id: Next(request_id=request_id))

    def update(self, answer: Response, state: str, board: str = "a", **changes: Any) -> Response:
        """Report on an earlier answer's execution."""
        record, lease = answer.record, answer.lease
        assert record is not None
        assert lease is not None
        return self.ask(
            board,
            lambda request_id: msgspec.structs.replace(
                Update(
                    request_id=request_id,
                    execution=record.execution,
                    lease_id=lease.lease_id,
                    expected_version=record.version,
                    state=state,  # type: ignore[arg-type]
                ),
                **changes,
            ),
        )

    def renew(self, answer: Response, board: str = "a") -> Response:
        """Renew an earlier answer's lease."""
        record, lease = answer.record, answer.lease
        assert record is not None
        assert lease is not None
        return self.ask(
            board, lambda rid: Renew(request_id=rid, execution=record.execution, lease_id=lease.lease_id)
        )

    def execution(self, job: str, board: str = "a") -> Execution:
        """Return an execution as it is."""
        found = self.database.read_now(executions.read_execution, f"{job}.{board}")
        assert found is not None
        return found

    def job_state(self, job: str) -> str:
        """Return a job's state."""
        found = self.database.read_now(jobs.read_job, job)
        assert found is not None
        return found.state

    async def pass_seconds(self, seconds: float) -> None:
        """Let time pass and the scheduler look."""
        self.time.seconds += seconds
        await self.scheduler.tick()


@pytest_asyncio.fixture
async def fleet(database: Database, laboratory: ScriptedLaboratory) -> AsyncIterator[Fleet]:
    """Return a fleet of one board, `a`."""
    made = Fleet(database, laboratory)
    made.add("a")
    yield made
    await made.scheduler.close()


async def test_one_build_for_each_kind_of_cpu(fleet: Fleet) -> None:
    fleet.add("b", features=())
    fleet.add("c", features=())
    job = await fleet.submit()
    assert sorted(fleet.laboratory.builds) == [False, True]
    assert fleet.job_state(job) == "active"
    for board, reduce_range in (("a", False), ("b", True), ("c", True)):
        manifest = fleet.next(board).manifest
        assert manifest is not None
        sha = {v.file.sha256 for v in manifest.variants if v.file}
        builds = fleet.database.read_now(jobs.read_builds, job)
        wanted = next(b for b in builds if b.reduce_range == reduce_range)
        assert sha == {v.file.sha256 for v in wanted.variants or [] if v.file}
    assert set(fleet.rung) >= {"a", "b", "c"}


async def test_boards_get_what_their_runtimes_load_first_of_what_can_be_built(fleet: Fleet) -> None:
    fleet.add("b", features=(), runtimes=[RuntimeInfo("ncnn", "1.0", available=True, formats=["ncnn"])])
    job = await fleet.submit()
    assert dict(zip(fleet.laboratory.builds, fleet.laboratory.formats, strict=True)) == {
        False: ["onnx"],
        True: ["ncnn"],
    }
    manifests = {board: fleet.next(board).manifest for board in ("a", "b")}
    assert {
        board: {variant.format for variant in manifest.variants} if manifest else None
        for board, manifest in manifests.items()
    } == {"a": {"onnx"}, "b": {"ncnn"}}
    assert fleet.job_state(job) == "active"


async def test_boards_run_one_execution_at_a_time_in_the_order_of_submission(fleet: Fleet) -> None:
    first, second = await fleet.submit(), await fleet.submit()
    answer = fleet.next()
    assert answer.record is not None
    assert answer.record.job == first
    again = fleet.next()
    assert again.record is not None
    assert again.record.execution == answer.record.execution, "what runs comes first"
    assert fleet.update(again, "SUCCEEDED").error is None
    after = fleet.next()
    assert after.record is not None
    assert after.record.job == second


async def test_the_same_request_twice_gives_the_same_lease(fleet: Fleet) -> None:
    await fleet.submit()
    first = fleet.ask("a", lambda _: Next(request_id="same"))
    second = fleet.ask("a", lambda _: Next(request_id="same"))
    assert first.lease == second.lease
    assert fleet.update(first, "IN_PROGRESS").error is None


async def test_a_new_lease_fences_the_old_holder(fleet: Fleet) -> None:
    await fleet.submit()
    old = fleet.next()
    new = fleet.next()
    for refused in (fleet.renew(old), fleet.update(old, "SUCCEEDED")):
        assert refused.error == "lease.stale"
        assert refused.record is not None
        assert refused.record.state == "IN_PROGRESS"
    assert fleet.update(new, "SUCCEEDED").error is None


async def test_a_stale_version_gets_the_current_record(fleet: Fleet) -> None:
    await fleet.submit()
    answer = fleet.next()
    newer = fleet.update(answer, "IN_PROGRESS")
    refused = fleet.update(answer, "SUCCEEDED")
    assert refused.error == "version.stale"
    assert refused.record == newer.record
    assert fleet.update(newer, "SUCCEEDED").error is None
    ended = fleet.update(newer, "SUCCEEDED")
    assert ended.error == "execution.ended"
    assert ended.record is not None
    assert ended.record.state == "SUCCEEDED"


async def test_unknown_and_foreign_executions_are_refused(fleet: Fleet) -> None:
    fleet.add("b")
    job = await fleet.submit(resolved_job(boards=BoardSelector(ids=["a"])))
    answer = fleet.next()
    assert fleet.ask("a", lambda rid: Get(request_id=rid, execution="none")).error == "execution.unknown"
    assert fleet.renew(answer, board="b").error == "execution.unknown"
    assert fleet.next("b").record is None
    seen = fleet.ask("a", lambda rid: Get(request_id=rid, execution=f"{job}.a"))
    assert seen.record == answer.record


async def test_an_expired_lease_stalls_and_a_renewal_mends_it(fleet: Fleet) -> None:
    job = await fleet.submit()
    answer = fleet.next()
    await fleet.pass_seconds(LEASE - 1)
    assert not fleet.execution(job).stalled
    await fleet.pass_seconds(2)
    stalled = fleet.execution(job)
    assert (stalled.stalled, stalled.state) == (True, "IN_PROGRESS")
    assert fleet.renew(answer).error is None
    assert not fleet.execution(job).stalled


@pytest.mark.parametrize(
    ("seconds", "spoken", "timeout"),
    [(301, False, "timeout.silence"), (1001, True, "timeout.whole")],
)
async def test_what_runs_too_long_or_in_silence_times_out(
    fleet: Fleet, seconds: float, timeout: str, *, spoken: bool
) -> None:
    job = await fleet.submit()
    answer = fleet.next()
    for _ in range(10):
        await fleet.pass_seconds(seconds / 10)
        if spoken:
            fleet.presence.hear("a")
    await fleet.settle()
    ended = fleet.execution(job)
    assert ended.state == "TIMED_OUT"
    assert ended.reason is not None
    assert ended.reason.startswith(timeout)
    assert fleet.job_state(job) == "failed"
    assert fleet.renew(answer).error == "execution.ended"


async def test_what_no_board_takes_times_out_of_the_queue(fleet: Fleet) -> None:
    job = await fleet.submit()
    await fleet.pass_seconds(1999)
    assert fleet.execution(job).state == "QUEUED"
    await fleet.pass_seconds(2)
    assert fleet.execution(job).state == "TIMED_OUT"


async def test_retry_begins_a_new_attempt_of_what_failed(fleet: Fleet) -> None:
    fleet.add("b")
    job = await fleet.submit()
    fleet.update(fleet.next("b"), "SUCCEEDED", board="b")
    failed = fleet.update(fleet.next(), "FAILED", reason="runner.start: no memory")
    assert failed.record is not None
    assert failed.record.reason == "runner.start: no memory"
    await fleet.settle()
    assert fleet.job_state(job) == "failed"
    await fleet.scheduler.retry(job)
    again = fleet.execution(job)
    assert (again.state, again.attempt, again.reason) == ("QUEUED", 2, None)
    assert fleet.execution(job, "b").state == "SUCCEEDED"
    assert fleet.update(fleet.next(), "SUCCEEDED").error is None
    await fleet.settle()
    assert fleet.job_state(job) == "succeeded"
    with pytest.raises(UnsupportedError, match="no failed"):
        await fleet.scheduler.retry(job)


async def test_cancel_ends_what_waits_and_asks_what_runs(fleet: Fleet) -> None:
    fleet.add("b")
    job = await fleet.submit()
    answer = fleet.next()
    await fleet.scheduler.cancel(job)
    assert fleet.execution(job, "b").state == "CANCELED"
    running = fleet.execution(job)
    assert (running.state, running.cancel_requested) == ("IN_PROGRESS", True)
    stale = fleet.update(answer, "IN_PROGRESS")
    assert stale.record is not None
    assert (stale.error, stale.record.cancel_requested) == ("version.stale", True)
    done = fleet.update(answer, "CANCELED", expected_version=stale.record.version)
    assert done.error is None
    await fleet.settle()
    assert fleet.job_state(job) == "canceled"
    with pytest.raises(UnsupportedError, match="ended"):
        await fleet.scheduler.cancel(job)


async def test_a_canceled_execution_of_a_lost_board_ends_with_its_lease(fleet: Fleet) -> None:
    job = await fleet.submit()
    fleet.next()
    await fleet.scheduler.cancel(job)
    await fleet.pass_seconds(LEASE + 1)
    await fleet.settle()
    assert fleet.execution(job).state == "CANCELED"
    assert fleet.job_state(job) == "canceled"


async def test_a_build_that_fails_fails_the_job_and_can_be_tried_again(fleet: Fleet) -> None:
    fleet.laboratory.build_error = RunError("the model is not ONNX", code="model.invalid")
    job = await fleet.submit()
    found = fleet.database.read_now(jobs.read_job, job)
    assert found is not None
    assert found.failure is not None
    assert (found.state, found.failure.code) == ("failed", "model.invalid")
    assert fleet.execution(job).reason == "model.invalid: the model is not ONNX"
    fleet.laboratory.build_error = None
    await fleet.scheduler.retry(job)
    await fleet.settle()
    assert fleet.job_state(job) == "active"


async def test_boards_are_found_by_id_and_label_and_missing_ones_are_named(fleet: Fleet) -> None:
    fleet.add("rk1", labels={"soc": "rk3588"})
    fleet.add("rk2", labels={"soc": "rk3588", "room": "lab"})
    by_label = resolved_job(boards=BoardSelector(labels={"soc": "rk3588"}))
    _, chosen = await fleet.scheduler.submit(by_label, lambda _: True)
    assert chosen == ["rk1", "rk2"]
    fleet.database.write_now(change_board, "rk1", labels={"room": "lab"}, drained=True)
    _, chosen = await fleet.scheduler.submit(by_label, lambda _: True)
    assert chosen == ["rk2"]
    for selector, code, text in (
        (BoardSelector(ids=["rk3"]), "board.unknown", "did you mean 'rk"),
        (BoardSelector(ids=["rk1"]), "board.drained", "drained"),
        (BoardSelector(labels={"soc": "x"}), "board.none", "boards known: a, rk1, rk2"),
    ):
        with pytest.raises(UnsupportedError, match=text) as caught:
            await fleet.scheduler.submit(resolved_job(boards=selector), lambda _: True)
        assert caught.value.code == code


async def test_a_job_without_its_files_is_refused(fleet: Fleet) -> None:
    with pytest.raises(UnsupportedError, match="missing artifacts") as caught:
        await fleet.scheduler.submit(resolved_job(), lambda _: False)
    assert caught.value.code == "artifact.missing"


async def test_a_drained_board_finishes_what_it_runs_and_gets_no_more(fleet: Fleet) -> None:
    await fleet.submit()
    await fleet.submit()
    fleet.database.write_now(change_board, "a", labels={}, drained=False)
    running = fleet.next()
    fleet.database.write_now(change_board, "a", labels={}, drained=True)
    assert fleet.update(running, "SUCCEEDED").error is None
    assert fleet.next().record is None


async def test_everything_goes_on_after_a_restart_of_the_controller(
    fleet: Fleet, database: Database, laboratory: ScriptedLaboratory
) -> None:
    job = await fleet.submit()
    answer = fleet.next()
    await fleet.pass_seconds(20)
    database.write_now(fleet.clock.save)
    await fleet.scheduler.close()
    after = Fleet(database, laboratory)
    after.time.seconds = 5.0  # another boot: another monotonic clock
    database.read_now(after.clock.load)
    assert after.renew(answer).error is None
    await after.pass_seconds(LEASE - 1)
    assert not after.execution(job).stalled
    await after.pass_seconds(2)
    assert after.execution(job).stalled
    assert after.update(answer, "SUCCEEDED").error is None
    await after.settle()
    assert after.job_state(job) == "succeeded"
    await after.scheduler.close()


def test_an_older_session_cannot_speak_for_a_board(database: Database) -> None:
    def state(epoch: int, *, online: bool) -> State:
        return State(board="a", online=online, boot_id="b", session_epoch=epoch)

    assert database.write_now(take_state, state(2, online=True), 0.0)
    assert not database.write_now(take_state, state(1, online=False), 0.0), "a late last will"
    old = Caps(board="a", session_epoch=1, capabilities=capabilities())
    assert not database.write_now(take_caps, old, 0.0)
    assert database.write_now(take_state, state(2, online=False), 0.0)


def test_changes_that_came_too_late_are_not_applied(database: Database) -> None:
    database.write_now(add_board, "a", 0.0)
    database.write_now(jobs.insert_job, "j", resolved_job(), reduce_ranges={False})
    name = database.write_now(
        executions.insert_execution, job="j", board="a", reduce_range=False, now_seconds=0.0
    )
    seen = database.read_now(executions.read_execution, name)
    assert seen is not None
    database.write_now(executions.change, name, state="SUCCEEDED", version=2)
    late = lifecycle.Change(seen, "TIMED_OUT", "too late")
    assert database.write_now(lifecycle.apply, [late], 1.0) == []


async def test_it_ends_though_it_is_woken_in_that_moment(fleet: Fleet) -> None:
    task = asyncio.create_task(fleet.scheduler.run())
    await asyncio.sleep(0.5)  # the first tick is over: it waits for the second
    fleet.scheduler.wake()
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
