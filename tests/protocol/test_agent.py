"""The real agent against a controller that forgets, refuses, doubles, rings too often or speaks for others."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.core.messages import (
    Ack,
    ControllerState,
    Desired,
    ExecutionRecord,
    Get,
    Lease,
    Next,
    Renew,
    Response,
    Update,
    encode,
)
from tests.agent.fleet.samples import manifest
from tests.conftest import wait_until
from tests.protocol.conftest import assign, is_born
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin
    from tests.protocol.brokers import Broker


def begun(standin: Standin, agent: AgentProcess, **script: Any) -> str:
    """Start the agent, give it an execution and wait for its runner."""
    agent.script(**script)
    agent.start()
    wait_until(lambda: is_born(standin), what="birth")
    execution = assign(standin)
    wait_until(lambda: len(agent.starts) == 1, what="the runner")
    return execution


def ends(standin: Standin, execution: str, state: str) -> ExecutionRecord:
    """Wait until an execution has ended so, and return its record."""
    wait_until(lambda: standin.state_of(execution) == state, what=f"{execution} as {state}")
    return standin.records[execution]


def outcomes(standin: Standin) -> list[str]:
    """Return the outcomes that were reported."""
    return [one.state for one in standin.asked(Update) if one.state != "IN_PROGRESS"]


def online_again(standin: Standin) -> None:
    """Say that the controller is there, as after its restart."""
    said = ControllerState(online=True, api_url=standin.artifacts.url)
    standin._client.publish("edgedyno/v1/controller/state", encode(said), 1, retain=True)


@rule("R15", "R64")
def test_answers_and_bells_that_nobody_asked_for_begin_nothing(standin: Standin, agent: AgentProcess) -> None:
    agent.start()
    wait_until(lambda: is_born(standin) and standin.asked(Next), what="birth")
    name = f"forced.{standin.board}"
    record = ExecutionRecord(name, "forced", standin.board, "IN_PROGRESS", 2, 1)
    forced = Response(request_id="not-asked", record=record, lease=Lease("l", 30.0), manifest=manifest(name))
    standin.send("rsp/next", forced)
    for _ in range(5):
        standin.send("desired", Desired(execution=name, version=2))
    execution = assign(standin)
    for _ in range(5):
        standin.ring()
    ends(standin, execution, "SUCCEEDED")
    assert len(agent.starts) == 1
    assert {one.execution for one in list(standin.results)} == {execution}


@rule("R16")
def test_a_request_without_an_answer_is_sent_again_under_its_id(
    standin: Standin, agent: AgentProcess
) -> None:
    standin.deaf = True
    agent.start()
    wait_until(lambda: standin.asked(Next), what="a request")
    first = standin.asked(Next)[0].request_id
    online_again(standin)
    wait_until(
        lambda: sum(one.request_id == first for one in standin.asked(Next)) >= 2, what="the same request"
    )
    standin.deaf = False
    execution = assign(standin)
    online_again(standin)
    ends(standin, execution, "SUCCEEDED")


@rule("R20")
def test_an_outcome_that_was_refused_for_its_version_is_told_again(
    standin: Standin, agent: AgentProcess
) -> None:
    standin.acks = False
    execution = begun(standin, agent, trials=1)
    wait_until(lambda: standin.results, what="the result")
    wait_until(lambda: standin.records[execution].phase is None and standin.asked(Update), what="updates")
    standin.change(execution)
    standin.acks = True
    standin.send("ack", Ack(stream_epoch=standin.results[-1].stream_epoch, up_to=1))
    ends(standin, execution, "SUCCEEDED")


@rule("R24")
def test_a_lease_is_renewed_well_before_its_end(standin: Standin, agent: AgentProcess) -> None:
    standin.lease_seconds = 3.0
    execution = begun(standin, agent, trials=1, hang_before=0)
    wait_until(lambda: len(standin.asked(Renew)) >= 3, what="renewals")
    assert standin.state_of(execution) == "IN_PROGRESS"
    assert {one.execution for one in standin.asked(Renew)} == {execution}


@rule("R26")
def test_a_stale_lease_is_asked_for_anew_and_the_runner_goes_on(
    standin: Standin, agent: AgentProcess
) -> None:
    standin.lease_seconds = 3.0
    execution = begun(standin, agent, trials=40, pause_seconds=0.1)
    standin.leases[execution] = "another's"
    wait_until(lambda: standin.leases[execution] != "another's", what="a new lease")
    ends(standin, execution, "SUCCEEDED")
    assert len(agent.starts) == 1


@rule("R34")
def test_a_manifest_that_cannot_be_followed_is_rejected_with_the_reason(
    standin: Standin, agent: AgentProcess
) -> None:
    agent.start()
    wait_until(lambda: is_born(standin), what="birth")
    name = f"odd.{standin.board}"
    odd = msgspec.json.decode(msgspec.json.encode(manifest(name)))
    odd["sweep"]["dreams"] = ["lucid"]
    standin.submit(msgspec.json.encode(odd), name)
    record = ends(standin, name, "REJECTED")
    assert record.reason is not None
    assert record.reason.startswith("manifest.invalid:")
    assert "dreams" in record.reason


@rule("R35", "R54")
def test_a_killed_agent_goes_on_at_the_next_unfinished_trial(standin: Standin, agent: AgentProcess) -> None:
    standin.acks = False
    execution = begun(standin, agent, trials=6, pause_seconds=0.2)
    wait_until(lambda: len({one.record.trial for one in list(standin.results)}) >= 2, what="two results")
    agent.kill()
    standin.acks = True
    agent.start()
    ends(standin, execution, "SUCCEEDED")
    assert standin.trials(execution) == [f"{number:016x}" for number in range(6)]
    assert len(agent.starts) == 2
    assert len(agent.starts[1]["done"]) >= 2
    assert {one.attempt for one in list(standin.results)} == {1}


@rule("R39")
def test_a_board_ends_what_runs_too_long_by_itself(standin: Standin, agent: AgentProcess) -> None:
    agent.script(trials=1, hang_before=0)
    agent.start()
    execution = assign(standin, timeout_seconds=1.0)
    assert (ends(standin, execution, "TIMED_OUT").reason or "").startswith("timeout.whole:")


@rule("R45")
def test_ten_starts_without_a_trial_end_the_attempt(standin: Standin, agent: AgentProcess) -> None:
    execution = begun(standin, agent, trials=1, hang_before=0)
    agent.kill()
    database = sqlite3.connect(agent.state_dir / "agent.db")
    with database:
        assert database.execute("SELECT starts FROM execution").fetchone() == (1,)
        # As after nine more reboots.
        database.execute("UPDATE execution SET starts = 10")
    database.close()
    agent.start()
    reason = ends(standin, execution, "FAILED").reason or ""
    assert reason.startswith("runner.starts: 10 starts")
    assert len(agent.starts) == 1


@rule("R45")
@pytest.mark.long
def test_a_runner_that_dies_four_times_ends_the_attempt(standin: Standin, agent: AgentProcess) -> None:
    execution = begun(standin, agent, trials=2, crash_before=1)
    reason = ends(standin, execution, "FAILED").reason or ""
    assert reason.startswith("runner.died: 4 times")
    assert len(agent.starts) == 4


@rule("R49")
def test_a_canceled_execution_stops_and_delivers_what_it_has(standin: Standin, agent: AgentProcess) -> None:
    execution = begun(standin, agent, trials=1000, pause_seconds=0.05)
    wait_until(lambda: standin.trials(execution), what="a result")
    standin.cancel(execution)
    ends(standin, execution, "CANCELED")
    delivered = len(standin.trials(execution))
    assert 0 < delivered < 1000
    other = assign(standin, 2)
    agent.script(trials=1)
    wait_until(lambda: standin.state_of(other) != "QUEUED", what="the next execution")


@rule("R49")
def test_a_cancel_that_only_an_answer_tells_is_followed(standin: Standin, agent: AgentProcess) -> None:
    standin.lease_seconds = 3.0
    execution = begun(standin, agent, trials=1000, pause_seconds=0.05)
    standin.change(execution, cancel_requested=True)
    ends(standin, execution, "CANCELED")


@rule("R50")
@pytest.mark.long
def test_a_runner_that_does_not_stop_is_killed(standin: Standin, agent: AgentProcess) -> None:
    execution = begun(standin, agent, trials=1, hang_before=0, ignore_sigterm=True)
    standin.cancel(execution)
    wait_until(lambda: standin.state_of(execution) == "CANCELED", seconds=40, what="the end")


@rule("R54", "R62")
def test_results_are_sent_until_acknowledged_and_the_outcome_waits_for_that(
    standin: Standin, agent: AgentProcess, broker: Broker
) -> None:
    standin.acks = False
    execution = begun(standin, agent, trials=2)
    wait_until(lambda: len(standin.results) >= 2, what="results")
    broker.kill()
    broker.start()
    wait_until(lambda: len(standin.results) >= 4, what="the same results again")
    assert len({one.msg_id for one in list(standin.results)}) == 2
    assert outcomes(standin) == []
    agent.kill()
    standin.acks = True
    agent.start()
    ends(standin, execution, "SUCCEEDED")
    assert len(standin.trials(execution)) == 2


@rule("R57")
def test_a_refused_result_is_put_aside_and_the_rest_goes_on(standin: Standin, agent: AgentProcess) -> None:
    standin.refuse[f"{0:016x}"] = "nobody wants it"
    execution = begun(standin, agent, trials=3)
    ends(standin, execution, "SUCCEEDED")
    assert standin.trials(execution) == [f"{number:016x}" for number in (1, 2)]
    assert "nobody wants it" in agent.log.read_text()


@rule("R58")
def test_acks_of_others_are_ignored_and_acks_of_the_future_begin_a_new_stream(
    standin: Standin, agent: AgentProcess
) -> None:
    standin.acks = False
    execution = begun(standin, agent, trials=1)
    wait_until(lambda: standin.results, what="the result")
    stream = standin.results[-1].stream_epoch
    standin.send("ack", Ack(stream_epoch="another", up_to=99))
    standin.send("ack", Ack(stream_epoch=stream, up_to=99))
    wait_until(lambda: standin.results[-1].stream_epoch != stream, what="a new stream")
    assert {one.record.trial for one in list(standin.results)} == {f"{0:016x}"}
    standin.acks = True
    online_again(standin)
    ends(standin, execution, "SUCCEEDED")


@rule("R65")
def test_work_is_asked_for_without_a_bell(standin: Standin, agent: AgentProcess) -> None:
    first, second = (f"quiet-{number}.{standin.board}" for number in (1, 2))
    for name in (first, second):
        with standin.lock:
            standin.records[name] = ExecutionRecord(name, "job-1", standin.board, "QUEUED", 1, 1)
            standin.manifests[name] = manifest(name)
    agent.start()
    ends(standin, first, "SUCCEEDED")
    ends(standin, second, "SUCCEEDED")


@rule("R66", "R67")
def test_an_agent_takes_what_a_newer_controller_adds(standin: Standin, agent: AgentProcess) -> None:
    execution = begun(standin, agent, trials=10, pause_seconds=0.1)
    standin.send("desired", b'{"type": "desired", "v": 1, "execution": null, "version": 3, "mood": "good"}')
    record = msgspec.json.decode(msgspec.json.encode(standin.records[execution]))
    online_again(standin)
    wait_until(lambda: standin.asked(Get), what="the record being asked for")
    unheard = {**record, "state": "PAUSED", "phase": "dream", "surprise": [1]}
    for asked in standin.asked(Get):
        answer = {"type": "response", "v": 1, "request_id": asked.request_id, "record": unheard}
        standin.send("rsp/get", msgspec.json.encode(answer))
    ends(standin, execution, "SUCCEEDED")
    assert len(agent.starts) == 1


@rule("R68")
def test_nonsense_does_not_stop_an_agent(standin: Standin, agent: AgentProcess) -> None:
    agent.start()
    wait_until(lambda: is_born(standin), what="birth")
    for leaf in ("desired", "ack", "rsp/next", "rsp/get", "rsp/update", "rsp/renew", "rsp/new", "state"):
        for nonsense in (
            b"",
            b"\xff\x00",
            b"{",
            b"[[[[",
            b"null",
            b'{"type": "surprise", "v": 1}',
            b'{"type": "desired", "v": 9, "execution": "x", "version": 1}',
        ):
            standin.send(leaf, nonsense)
    ends(standin, assign(standin), "SUCCEEDED")
