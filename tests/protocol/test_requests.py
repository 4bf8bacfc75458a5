"""Requests and leases at the real controller: doubled, late, reordered, stale, foreign, unreadable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.core.messages import Get, Next, Progress, Renew, Response, Update, decode, encode
from tests.conftest import wait_until
from tests.protocol.conftest import submit, take
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controller.service.standins import Board
    from tests.protocol.controlled import Controlled
    from tests.protocol.listener import Listener

LEASE_SECONDS = 2.0


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Let leases end soon."""
    return {"lease_seconds": LEASE_SECONDS}


@rule("R17")
@pytest.mark.parametrize(
    ("op", "content", "code"),
    [
        ("dance", b'{"type": "dance", "v": 1, "request_id": "ID", "steps": 3}', "operation.unknown"),
        ("get", b'{"type": "get", "v": 1, "request_id": "ID"}', "message.invalid"),
        ("get", b'{"type": "next", "v": 1, "request_id": "ID"}', "message.invalid"),
        ("next", b'{"type": "next", "v": 2, "request_id": "ID"}', "message.version"),
        (
            "update",
            (
                b'{"type": "update", "v": 1, "request_id": "ID", "execution": "x", "lease_id": "l",'
                b' "expected_version": 1, "state": "PAUSED"}'
            ),
            "message.invalid",
        ),
    ],
)
def test_what_cannot_be_followed_is_answered(
    board: Board, listener: Listener, op: str, content: bytes, code: str
) -> None:
    board.send(f"req/{op}", content.replace(b"ID", board.name.encode()))
    answer = listener.wait(board.name, f"rsp/{op}", lambda one: one["request_id"] == board.name)
    assert answer["error"] == code
    assert answer["text"]


@rule("R18")
def test_a_doubled_next_gets_the_same_lease(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    first = take(board, job)
    again = board.say("req/next", Next(request_id=first.request_id), first.request_id)
    assert again.lease == first.lease
    assert again.record == first.record


@rule("R22", "R32")
def test_next_gives_the_head_and_asked_anew_the_same_with_a_new_lease(
    controller: Controlled, board: Board
) -> None:
    job = submit(controller, board)
    submit(controller, board)
    first, second = take(board, job), take(board, job)
    assert first.lease is not None
    assert second.lease is not None
    assert first.lease.duration_seconds == LEASE_SECONDS
    assert first.lease.lease_id != second.lease.lease_id
    assert second.manifest is not None
    assert second.manifest.execution == f"{job}.{board.name}"
    assert first.record == second.record


@rule("R23")
def test_an_older_holder_changes_nothing(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    older, newer = take(board, job), take(board, job)
    for refused in (board.renew(older), board.update(older, "SUCCEEDED"), board.update(older, "IN_PROGRESS")):
        assert refused.error == "lease.stale"
        assert refused.lease is None
        assert refused.record == newer.record
    assert board.update(newer, "SUCCEEDED").error is None


@rule("R19")
def test_updates_that_come_twice_or_late_change_nothing(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    early = Update(
        request_id="early",
        execution=answer.record.execution,
        lease_id=answer.lease.lease_id,
        expected_version=answer.record.version,
        state="IN_PROGRESS",
        progress=Progress("fetch", 0, 2),
    )
    taken = board.say("req/update", early, "early")
    assert taken.error is None
    assert taken.record is not None
    later = msgspec.structs.replace(
        early, request_id="later", expected_version=taken.record.version, progress=Progress("measure", 1, 2)
    )
    assert board.say("req/update", later, "later").error is None
    late = board.say("req/update", early, "early")
    assert late.error == "version.stale"
    assert late.record is not None
    assert late.record.phase == controller.execution(job)["phase"] == "measure"
    assert late.record.version == later.expected_version + 1


@rule("R21")
def test_get_shows_a_boards_own_executions_only(
    controller: Controlled, board: Board, make_board: Callable[..., Board]
) -> None:
    job = submit(controller, board)
    other = make_board()

    def get(asking: Board, name: str) -> Response:
        return asking.ask("get", lambda request_id: Get(request_id=request_id, execution=name))

    name = f"{job}.{board.name}"
    first, second = get(board, name), get(board, name)
    assert first.record is not None
    assert first.record == second.record
    assert first.record.state == "QUEUED"
    assert get(other, name).error == get(board, "unknown").error == "execution.unknown"
    stolen = other.ask("renew", lambda i: Renew(request_id=i, execution=name, lease_id="guessed"))
    assert stolen.error == "execution.unknown"


@rule("R29")
def test_only_next_begins_an_execution_and_versions_rise(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    name = f"{job}.{board.name}"
    early = board.ask(
        "update",
        lambda request_id: Update(
            request_id=request_id, execution=name, lease_id="", expected_version=1, state="IN_PROGRESS"
        ),
    )
    assert early.error == "lease.stale"
    assert controller.state(job) == "QUEUED"
    answer = take(board, job)
    assert (answer.record.state, answer.record.version) == ("IN_PROGRESS", 2)
    first = board.update(answer, "IN_PROGRESS", progress=Progress("fetch", 0, 2))
    second = board.update(first, "IN_PROGRESS", progress=Progress("measure", 1, 2))
    assert second.record is not None
    assert (second.record.version, second.record.phase) == (4, "measure")
    last = board.update(second, "SUCCEEDED")
    assert last.record is not None
    assert (last.record.state, last.record.version) == ("SUCCEEDED", 5)


@rule("R30")
def test_an_ended_execution_refuses_everything(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    done = board.update(answer, "SUCCEEDED")
    for refused in (board.renew(answer), board.update(answer, "FAILED"), board.update(answer, "IN_PROGRESS")):
        assert refused.error == "execution.ended"
        assert refused.record == done.record
    assert board.next().record is None


@rule("R31")
@pytest.mark.parametrize("state", ["QUEUED", "REMOVED"])
def test_a_state_that_is_not_a_boards_to_report_is_refused(
    controller: Controlled, board: Board, state: str
) -> None:
    answer = take(board, submit(controller, board))
    refused = board.update(answer, state)
    assert refused.error == "state.invalid"
    assert refused.record == answer.record


@rule("R34")
def test_a_rejection_is_shown_with_its_reason(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    board.update(take(board, job), "REJECTED", reason="manifest.invalid: found the runtime 'dreams'")
    record = controller.execution(job)
    assert record["state"] == "REJECTED"
    assert record["reason"] == "manifest.invalid: found the runtime 'dreams'"
    assert record["failure_class"] == "job"


@rule("R25")
def test_a_lease_that_ran_out_stalls_and_its_holder_may_go_on(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    wait_until(lambda: controller.execution(job)["stalled"], what="stalled")
    assert controller.state(job) == "IN_PROGRESS"
    renewed = board.renew(answer)
    assert renewed.error is None
    assert controller.execution(job)["stalled"] is False


@rule("R33")
def test_the_highest_priority_goes_first_and_nothing_is_interrupted(
    controller: Controlled, board: Board
) -> None:
    runs = submit(controller, board)
    answer = take(board, runs)
    low = submit(controller, board, priority=-5)
    plain = submit(controller, board)
    later = submit(controller, board)
    high = submit(controller, board, priority=5)
    assert board.renew(answer).error is None
    order = []
    for _ in range(5):
        order.append(answer.record.job)
        board.update(answer, "SUCCEEDED")
        answer = board.next()
    assert order == [runs, high, plain, later, low]


@rule("R63")
def test_the_doorbell_follows_the_head_of_the_queue(
    controller: Controlled, board: Board, listener: Listener
) -> None:
    first = submit(controller, board)
    rung = listener.wait(board.name, "desired", lambda one: one["execution"] == f"{first}.{board.name}")
    second = submit(controller, board)
    answer = take(board, first)
    listener.wait(board.name, "desired", lambda one: one["version"] > rung["version"])
    board.update(answer, "SUCCEEDED")
    listener.wait(board.name, "desired", lambda one: one["execution"] == f"{second}.{board.name}")
    board.update(take(board, second), "SUCCEEDED")
    wait_until(
        lambda: (listener.retained(board.name, "desired") or {"execution": 1})["execution"] is None,
        what="an empty doorbell that stays",
    )


@rule("R68")
def test_nonsense_changes_nothing_and_the_next_message_is_served(
    controller: Controlled, board: Board
) -> None:
    job = submit(controller, board)
    before = controller.execution(job)
    for leaf in ("state", "caps", "tele", "result", "req/next", "req/get", "req/update", "req/renew", "new"):
        for nonsense in (
            b"",
            b"\xff\x00",
            b"{",
            b"[[[[",
            b"null",
            b'{"type": "surprise", "v": 1, "request_id": "r"}',
            b'{"type": "state", "v": 9}',
            b'{"type": "result", "v": 1, "seq": "one"}',
        ):
            board.send(leaf, nonsense)
    answer = take(board, job)
    assert answer.record.version == before["version"] + 1
    assert controller.call("GET", f"/boards/{board.name}")["online"]


@rule("R66")
def test_unknown_fields_of_a_request_are_ignored(controller: Controlled, board: Board) -> None:
    job = submit(controller, board)

    def more(message: Any) -> bytes:
        fields = msgspec.json.decode(encode(message))
        return msgspec.json.encode({**fields, "mood": "good", "nested": {"more": [1, 2]}})

    answer = board.say("req/next", more(Next(request_id="more")), "more")
    assert answer.record is not None
    assert answer.record.job == job
    assert decode(more(answer), Response) == answer


@rule("R67")
def test_a_phase_that_only_a_newer_agent_knows_is_taken_and_shown(
    controller: Controlled, board: Board
) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    taken = board.update(answer, "IN_PROGRESS", progress=Progress("calibrate", 0, 2))
    assert taken.error is None
    assert controller.execution(job)["phase"] == "calibrate"
    assert controller.http.get("/metrics").status_code == 200
    assert board.update(taken, "SUCCEEDED").error is None
