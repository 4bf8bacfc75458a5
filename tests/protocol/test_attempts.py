"""Timeouts, retries, cancel and drain at the real controller, with short times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.core.job import Retry, Timeouts
from edgedyno.core.messages import Telemetry
from tests.conftest import wait_until
from tests.controller.service.samples import NO_RETRY, message, result
from tests.protocol.conftest import submit, take
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controller.service.standins import Board
    from tests.protocol.controlled import Controlled
    from tests.protocol.listener import Listener

SOON = Retry(infrastructure=1, device=1, backoff=0.1)
CANCEL_SECONDS = 2.0


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Let the controller end canceled executions soon."""
    return {"cancel_seconds": CANCEL_SECONDS}


def fail(board: Board, job: str, reason: str) -> Any:
    """Have a board take its work and fail at it."""
    return board.update(take(board, job), "FAILED", reason=reason)


def take_when_due(board: Board, job: str) -> Any:
    """Ask until the board is given this job's execution."""
    answers: list[Any] = []

    def given() -> bool:
        answers.append(board.next())
        return answers[-1].record is not None

    wait_until(given, what="the next attempt")
    assert answers[-1].record.job == job
    return answers[-1]


@rule("R37")
def test_what_no_board_begins_in_time_times_out(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, timeouts=Timeouts(queue=1.0))
    record = controller.wait_state(job, "TIMED_OUT")
    assert record["reason"].startswith("timeout.queue:")


@rule("R38")
def test_silence_times_out_and_a_heartbeat_breaks_it(
    controller: Controlled, board: Board, make_board: Callable[..., Board]
) -> None:
    talks = make_board()
    silent_job, job = (submit(controller, one, timeouts=Timeouts(silence=3.0)) for one in (board, talks))
    take(board, silent_job)
    take(talks, job)

    def silent_one_ended() -> bool:
        talks.send("tele", Telemetry(board=talks.name, session_epoch=1, uptime_seconds=1.0), qos=0)
        return controller.state(silent_job) == "TIMED_OUT"

    wait_until(silent_one_ended, what="the silent board's end")
    assert controller.execution(silent_job)["reason"].startswith("timeout.silence:")
    assert controller.state(job) == "IN_PROGRESS"


@rule("R39")
def test_what_runs_too_long_times_out_while_its_board_talks(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, timeouts=Timeouts(whole=2.0))
    answer = take(board, job)

    def ended() -> bool:
        return bool(board.renew(answer).error == "execution.ended")

    wait_until(ended, what="the end")
    record = controller.execution(job)
    assert record["state"] == "TIMED_OUT"
    assert record["reason"].startswith("timeout.whole:")


@rule("R40", "R42")
def test_each_class_of_failure_has_retries_of_its_own(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, retry=SOON)
    again = fail(board, job, "artifact.unreachable: no route")
    assert again.record is not None
    assert (again.record.state, again.record.attempt) == ("QUEUED", 2)
    answer = take_when_due(board, job)
    assert answer.record.attempt == 2
    board.update(answer, "FAILED", reason="runner.died: 4 times")
    last = board.update(take_when_due(board, job), "FAILED", reason="runner.died: again")
    assert last.record is not None
    assert (last.record.state, last.record.attempt) == ("FAILED", 3)
    record = controller.execution(job)
    assert record["reason"] == "runner.died: again"
    assert [(one["attempt"], one["failure_class"]) for one in record["earlier"]] == [
        (1, "infrastructure"),
        (2, "device"),
    ]
    assert record["retries_left"] == {"infrastructure": 0, "device": 0, "job": 0, "model": 0}


@rule("R40")
def test_a_timeout_is_followed_by_another_attempt(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, retry=SOON, timeouts=Timeouts(silence=1.0))
    take(board, job)
    wait_until(lambda: controller.execution(job)["attempt"] == 2, what="the second attempt")
    assert controller.execution(job)["earlier"][0]["reason"].startswith("timeout.silence:")


@rule("R42", "R44")
@pytest.mark.parametrize("reason", ["surprise.new: what?", "no code at all", "model.load: not a model"])
def test_what_another_attempt_cannot_mend_ends(controller: Controlled, board: Board, reason: str) -> None:
    job = submit(controller, board, retry=Retry())
    ended = fail(board, job, reason)
    assert ended.record is not None
    assert (ended.record.state, ended.record.attempt, ended.record.reason) == ("FAILED", 1, reason)


@rule("R41")
def test_a_retry_waits_for_its_time_and_lets_others_go_ahead(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, retry=Retry(device=1, backoff=600.0))
    fail(board, job, "runner.died: 4 times")
    assert board.next().record is None
    record = controller.execution(job)
    assert record["state"] == "QUEUED"
    assert 0 < record["retry_in_seconds"] <= 600.0
    other = submit(controller, board)
    board.update(take(board, other), "SUCCEEDED")
    assert board.next().record is None
    controller.call("POST", f"/jobs/{job}/cancel")


@rule("R41", "R63")
def test_a_board_is_rung_when_a_retrys_time_has_come(
    controller: Controlled, board: Board, listener: Listener
) -> None:
    job = submit(controller, board, retry=SOON)
    fail(board, job, "runner.died: 4 times")
    name = f"{job}.{board.name}"
    record = controller.execution(job)
    listener.wait(
        board.name, "desired", lambda one: one["execution"] == name and one["version"] == record["version"]
    )


@rule("R46")
def test_an_operators_retry_begins_at_once_and_the_count_anew(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, retry=SOON)
    fail(board, job, "runner.died: 1")
    board.update(take_when_due(board, job), "FAILED", reason="runner.died: 2")
    wait_until(lambda: controller.call("GET", f"/jobs/{job}")["state"] == "failed", what="the job's end")
    controller.call("POST", f"/jobs/{job}/retry")
    assert controller.execution(job)["retries_left"]["device"] == 1
    answer = take(board, job)
    assert answer.record.attempt == 3
    board.update(answer, "FAILED", reason="runner.died: 3")
    assert take_when_due(board, job).record.attempt == 4
    by = [one.get("by", "policy") for one in controller.execution(job)["earlier"]]
    assert by == ["policy", "operator", "policy"]


@rule("R47")
def test_the_holder_of_an_earlier_attempt_cannot_touch_the_new_one(
    controller: Controlled, board: Board
) -> None:
    job = submit(controller, board, retry=SOON, timeouts=Timeouts(silence=1.0))
    old = take(board, job)
    wait_until(lambda: controller.execution(job)["attempt"] == 2, what="the second attempt")
    refused = board.update(old, "SUCCEEDED")
    assert refused.error == "lease.stale"
    assert refused.record is not None
    assert refused.record.attempt == 2
    new = take_when_due(board, job)
    assert board.renew(old).error == "lease.stale"
    assert board.update(new, "SUCCEEDED").error is None
    assert controller.execution(job)["state"] == "SUCCEEDED"


@rule("R48")
def test_what_waits_is_canceled_at_once(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    controller.call("POST", f"/jobs/{job}/cancel")
    assert controller.state(job) == "CANCELED"
    assert board.next().record is None


@rule("R49")
def test_a_board_hears_of_a_cancel_by_bell_and_in_answers(
    controller: Controlled, board: Board, listener: Listener
) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    controller.call("POST", f"/jobs/{job}/cancel")
    listener.wait(board.name, "desired", lambda one: one["cancel_requested"])
    told = board.renew(answer)
    assert told.record is not None
    assert told.record.cancel_requested
    assert board.update(told, "CANCELED").error is None
    assert controller.state(job) == "CANCELED"


@rule("R51")
def test_a_cancel_that_its_board_does_not_follow_is_forced(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    controller.call("POST", f"/jobs/{job}/cancel")

    def ended() -> bool:
        return board.renew(answer).error == "execution.ended"

    wait_until(ended, what="the end by force")
    record = controller.execution(job)
    assert (record["state"], record["reason"]) == (
        "CANCELED",
        f"canceled by force: its board did not end it within {CANCEL_SECONDS:g} s",
    )


@rule("R52")
def test_a_canceled_execution_is_not_tried_again(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, retry=SOON)
    answer = take(board, job)
    controller.call("POST", f"/jobs/{job}/cancel")
    told = board.renew(answer)
    ended = board.update(told, "FAILED", reason="runner.died: while it was stopped")
    assert ended.record is not None
    assert (ended.record.state, ended.record.attempt) == ("FAILED", 1)


@rule("R53")
def test_a_drained_board_ends_what_it_runs_and_gets_nothing_new(
    controller: Controlled, board: Board, listener: Listener
) -> None:
    runs = submit(controller, board, retry=NO_RETRY)
    answer = take(board, runs)
    waits = submit(controller, board)
    controller.call("PATCH", f"/boards/{board.name}", json={"drained": True})
    assert controller.call("GET", f"/boards/{board.name}")["execution"] == f"{runs}.{board.name}"
    renewed = board.renew(answer)
    assert renewed.error is None
    board.deliver(message(result(f"{runs}.{board.name}"), 1, epoch=board.name))
    assert board.update(answer, "SUCCEEDED").error is None
    assert board.next().record is None
    assert controller.call("GET", f"/boards/{board.name}")["execution"] is None
    controller.call("PATCH", f"/boards/{board.name}", json={"drained": False})
    listener.wait(board.name, "desired", lambda one: one["execution"] == f"{waits}.{board.name}")
    take(board, waits)
