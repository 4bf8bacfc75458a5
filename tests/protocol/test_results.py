"""Results at the real controller: doubled, reordered, refused, late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.job import Retry
from edgedyno.core.messages import encode
from tests.conftest import wait_until
from tests.controller.service.samples import message, result
from tests.protocol.conftest import submit, take
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controller.service.standins import Board
    from tests.protocol.controlled import Controlled


def execution_of(controller: Controlled, board: Board, **changes: object) -> tuple[str, str]:
    """Submit a job, have the board begin it, and return the names of job and execution."""
    job = submit(controller, board, **changes)
    take(board, job)
    return job, f"{job}.{board.name}"


@rule("R55")
def test_an_ack_covers_what_came_without_a_gap(controller: Controlled, board: Board) -> None:
    job, execution = execution_of(controller, board)
    first, second, third = (message(result(execution, trial=f"t{n}"), n, epoch=board.name) for n in (1, 2, 3))
    board.deliver(first)
    assert len(controller.results(job)) == 1
    board.send("result", third)
    wait_until(lambda: len(controller.results(job)) == 2, what="the result that came ahead")
    board.next()
    assert max(ack.up_to for ack in board.acks) == 1
    assert board.deliver(second, third).up_to == 3
    assert len(controller.results(job)) == 3


@rule("R56")
def test_a_doubled_result_is_stored_once_and_acknowledged_again(controller: Controlled, board: Board) -> None:
    job, execution = execution_of(controller, board)
    one = message(result(execution), 1, epoch=board.name)
    for _ in range(3):
        board.acks.clear()
        assert board.deliver(one).up_to == 1
    assert len(controller.results(job)) == 1


@rule("R57")
def test_what_can_never_be_taken_is_refused_and_does_not_hold_up(
    controller: Controlled, board: Board, make_board: Callable[..., Board]
) -> None:
    job, execution = execution_of(controller, board)
    other = make_board()
    _, foreign = execution_of(controller, other)
    good = result(execution)
    broken = msgspec.json.decode(encode(message(good, 4, epoch=board.name)))
    broken["record"]["status"] = "unheard of"
    messages = [
        message(msgspec.structs.replace(good, execution="unknown.x"), 1, epoch=board.name),
        message(msgspec.structs.replace(good, execution=foreign), 2, epoch=board.name),
        message(result(execution, attempt=9), 3, epoch=board.name),
    ]
    for one in messages:
        board.send("result", one)
    board.send("result", msgspec.json.encode(broken))
    board.deliver(message(good, 5, epoch=board.name))
    refused = {refusal.seq: refusal for ack in board.acks for refusal in ack.refused}
    assert [refused[seq].code for seq in (1, 2, 3, 4)] == [
        "execution.unknown",
        "execution.board",
        "execution.attempt",
        "result.invalid",
    ]
    assert all(refusal.text for refusal in refused.values())
    assert len(controller.results(job)) == 1


@rule("R59")
def test_a_gap_that_will_never_be_filled_is_not_waited_for(controller: Controlled, board: Board) -> None:
    _, execution = execution_of(controller, board)
    late = message(result(execution), 40, epoch=board.name, oldest_seq=40)
    assert board.deliver(late).up_to == 40


@rule("R60", "R61")
def test_the_newest_attempts_first_result_counts(controller: Controlled, board: Board) -> None:
    job = submit(controller, board, retry=Retry(device=1, backoff=0.1))
    execution = f"{job}.{board.name}"
    answer = take(board, job)
    board.deliver(message(result(execution, load_seconds=1.0), 1, epoch=board.name))
    board.update(answer, "FAILED", reason="runner.died: 4 times")
    wait_until(lambda: board.next().record is not None, what="the second attempt")
    board.deliver(message(result(execution, attempt=1, trial="t2", load_seconds=2.0), 2, epoch=board.name))
    board.deliver(message(result(execution, attempt=2, load_seconds=3.0), 3, epoch=board.name))
    board.deliver(message(result(execution, attempt=2, load_seconds=4.0), 4, epoch=board.name))
    board.deliver(message(result(execution, attempt=1, load_seconds=5.0), 5, epoch=board.name))
    counted = {one["trial"]: one["load_seconds"] for one in controller.results(job)}
    assert counted == {"t1": 3.0, "t2": 2.0}
    flags = [
        (one["record"]["load_seconds"], one["flag"])
        for one in controller.call("GET", "/results/flagged", params={"job": job})["results"]
    ]
    assert flags == [(1.0, "superseded"), (2.0, "late"), (4.0, "repeated"), (5.0, "late")]
    assert controller.execution(job)["late_results"] == 2


@rule("R61")
def test_a_result_after_the_end_is_kept_and_shown_as_late(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    board.update(answer, "FAILED", reason="job.gone: a made-up end")
    board.deliver(message(result(f"{job}.{board.name}"), 1, epoch=board.name))
    assert len(controller.results(job)) == 1
    assert controller.execution(job)["late_results"] == 1
