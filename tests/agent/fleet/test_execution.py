"""A whole execution: doorbell, lease, files, runner, results, outcome; and what can go wrong on the way."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.core.messages import Desired, Next, Renew, Update
from tests.agent.fleet.conftest import process_alive
from tests.agent.fleet.samples import manifest, reference, sha256_of
from tests.conftest import wait_until

if TYPE_CHECKING:
    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin


def ends_as(controller: Standin, execution: str, state: str) -> None:
    wait_until(lambda: controller.state_of(execution) == state, what=f"{execution} as {state}")


def trials(count: int) -> list[str]:
    return [f"{number:016x}" for number in range(count)]


def test_an_execution_runs_to_its_end(controller: Standin, agent: AgentProcess) -> None:
    variant, image = b"a model" * 1000, b"an image"
    for data in (variant, image):
        controller.artifacts.add(data)
    agent.script(trials=3, samples=True, shared_predictions=True, noise=True, twice=True)
    agent.start()
    execution = controller.submit(manifest(files=(reference(variant), reference(image))))
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(3)
    for message in controller.results:
        assert controller.artifacts.files[str(message.record.samples_sha256)]
        assert controller.artifacts.files[str(message.record.predictions_sha256)] == b"the same for all"
        assert message.lease_id.startswith("lease-")
    assert set(agent.starts[0]["files"]) == {sha256_of(variant), sha256_of(image)}
    phases = [update.progress.phase for update in controller.asked(Update)]
    assert (phases[0], phases[-1]) == ("fetch", "upload")
    # Nothing of it is left on the board but the cached files.
    wait_until(lambda: not list((agent.state_dir / "work").iterdir()), what="work folder removed")
    assert not list((agent.state_dir / "spool").iterdir())
    wait_until(lambda: controller.states[-1].execution is None, what="state without an execution")
    assert agent.stop() == 0
    wait_until(lambda: not controller.states[-1].online, what="farewell")


def test_executions_follow_one_another(controller: Standin, agent: AgentProcess) -> None:
    agent.start()
    names = [controller.submit(manifest(f"job-1.{number}")) for number in range(3)]
    for name in names:
        ends_as(controller, name, "SUCCEEDED")
        assert controller.trials(name) == trials(3)


def test_results_with_lost_samples_are_still_told(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=2, samples=True, missing_samples=True)
    agent.start()
    execution = controller.submit(manifest())
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(2)
    assert "cannot be kept" in agent.log.read_text()


def test_the_runners_failure_is_the_executions(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=1, failure={"code": "plan.empty", "text": "no trial is left"})
    agent.start()
    execution = controller.submit(manifest())
    ends_as(controller, execution, "FAILED")
    assert controller.records[execution].reason == "plan.empty: no trial is left"
    assert controller.trials(execution) == trials(1)


def test_a_runner_that_dies_is_restarted_then_given_up(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=3, crash_before=1)
    agent.start()
    execution = controller.submit(manifest())
    ends_as(controller, execution, "FAILED")
    assert [start["done"] for start in agent.starts] == [[], trials(1), trials(1), trials(1)]
    assert controller.trials(execution) == trials(1)
    assert controller.records[execution].reason == "runner.died: 4 times, at last with: exit code -11"


def test_a_runner_that_recovers_goes_on(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=3, crash_before=2)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: len(agent.starts) == 1, what="first start")
    agent.script(trials=3)
    ends_as(controller, execution, "SUCCEEDED")
    assert agent.starts[-1]["done"] == trials(2)
    assert [message.record.trial for message in controller.results] == trials(3)


def test_a_hanging_runner_ends_with_the_executions_time(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=2, hang_before=1, ignore_sigterm=False)
    agent.start()
    execution = controller.submit(manifest(timeout_seconds=4.0))
    ends_as(controller, execution, "TIMED_OUT")
    assert controller.trials(execution) == trials(1)
    assert controller.records[execution].reason == "timeout.whole: it ran longer than 4 s"
    assert not process_alive(agent.starts[0]["pid"])


def test_cancel_stops_the_runner(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=2, hang_before=1)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: agent.starts, what="runner")
    controller.cancel(execution)
    ends_as(controller, execution, "CANCELED")
    assert controller.trials(execution) == trials(1)
    assert not process_alive(agent.starts[0]["pid"])


def test_cancel_while_files_cannot_be_fetched(controller: Standin, agent: AgentProcess) -> None:
    controller.artifacts.status = 503
    agent.start()
    execution = controller.submit(manifest(files=(reference(b"never"),)))
    wait_until(lambda: controller.artifacts.log, what="a try to fetch")
    controller.cancel(execution)
    ends_as(controller, execution, "CANCELED")
    assert not agent.starts


def test_a_file_that_is_not_there_fails_the_execution(controller: Standin, agent: AgentProcess) -> None:
    agent.start()
    execution = controller.submit(manifest(files=(reference(b"nobody has it"),)))
    ends_as(controller, execution, "FAILED")
    assert "artifact.missing" in str(controller.records[execution].reason)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"job": 7}', "manifest.invalid"),
        (b"null", "manifest.missing"),
    ],
)
def test_what_cannot_be_followed_is_rejected(
    controller: Standin, agent: AgentProcess, bad: bytes, code: str
) -> None:
    agent.start()
    execution = controller.submit(bad, "job-1.bad")
    ends_as(controller, execution, "REJECTED")
    assert str(controller.records[execution].reason).startswith(code)
    good = controller.submit(manifest("job-1.good"))
    ends_as(controller, good, "SUCCEEDED")


def test_a_manifest_of_another_execution_is_rejected(controller: Standin, agent: AgentProcess) -> None:
    agent.start()
    execution = controller.submit(manifest("job-1.other"), "job-1.this")
    ends_as(controller, execution, "REJECTED")
    assert "manifest.mismatch" in str(controller.records[execution].reason)


def test_versions_that_moved_are_adopted(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=3, pause_seconds=0.5)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: agent.starts, what="runner")

    def moved() -> int:
        controller.change(execution)
        return controller.stale_updates

    # Once may fall between an update and its answer, which tells the new version.
    wait_until(moved, what="an update with an old version")
    ends_as(controller, execution, "SUCCEEDED")


def test_leases_are_renewed_and_taken_anew(controller: Standin, agent: AgentProcess) -> None:
    controller.lease_seconds = 3.0
    agent.script(trials=2, hang_before=1)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.asked(Renew), what="renewal")
    asked = len(controller.asked(Next))
    controller.leases[execution] = "somebody else's"
    wait_until(lambda: len(controller.asked(Next)) > asked, what="a new lease asked for")
    assert process_alive(agent.starts[0]["pid"])
    controller.cancel(execution)
    ends_as(controller, execution, "CANCELED")


@pytest.mark.parametrize("change", [{"attempt": 2, "state": "QUEUED"}, {"state": "TIMED_OUT"}])
def test_an_execution_that_is_no_longer_ours_is_dropped(
    controller: Standin, agent: AgentProcess, change: dict[str, Any]
) -> None:
    controller.lease_seconds = 3.0
    agent.script(trials=2, hang_before=1)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: agent.starts, what="runner")
    agent.script(trials=2)
    controller.change(execution, **change)
    wait_until(lambda: not process_alive(agent.starts[0]["pid"]), what="end of the old runner")
    if "attempt" in change:
        ends_as(controller, execution, "SUCCEEDED")
        assert {message.attempt for message in controller.results} == {1, 2}
    else:
        wait_until(lambda: controller.states[-1].execution is None, what="board idle")
    # A result that was there before is delivered all the same: the controller decides what it is worth.
    wait_until(lambda: any(m.attempt == 1 for m in controller.results), what="late result")


def test_a_doorbell_in_the_wrong_moment_is_not_lost(controller: Standin, agent: AgentProcess) -> None:
    agent.start()
    wait_until(lambda: controller.asked(Next), what="question")
    controller.deaf = True
    controller.send("desired", Desired(execution="job-1.board", version=1))
    wait_until(lambda: len(controller.asked(Next)) >= 2, what="question with the bell")
    # Rings again while the question is open; the empty answer to it is older than the job.
    controller.send("desired", Desired(execution="job-1.board", version=1))
    controller.deaf = False
    asked = controller.asked(Next)[-1]
    controller.send("rsp/next", controller._next(asked))
    controller.submit(manifest())
    ends_as(controller, "job-1.board", "SUCCEEDED")


def test_a_killed_agent_goes_on_at_the_next_trial(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=3, hang_before=2)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: len(controller.trials(execution)) == 2, what="two results")
    old = agent.starts[0]["pid"]
    agent.kill()
    assert process_alive(old)
    agent.script(trials=3)
    agent.start()
    ends_as(controller, execution, "SUCCEEDED")
    assert not process_alive(old)
    assert agent.starts[1]["done"] == trials(2)
    # A result comes twice when the agent was killed before it heard the ack.
    assert list(dict.fromkeys(message.record.trial for message in controller.results)) == trials(3)


def test_an_agent_that_restarts_drops_what_was_taken_from_it(
    controller: Standin, agent: AgentProcess
) -> None:
    agent.script(trials=2, hang_before=1)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.trials(execution), what="a result")
    agent.kill()
    with controller.lock:
        del controller.records[execution]
    agent.script(trials=2)
    agent.start()
    fresh = controller.submit(manifest("job-2.board"))
    ends_as(controller, fresh, "SUCCEEDED")
    assert not process_alive(agent.starts[0]["pid"])


def test_sigterm_stops_the_runner_and_keeps_the_work(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=3, hang_before=1)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.trials(execution), what="a result")
    assert agent.stop() == 0
    assert not process_alive(agent.starts[0]["pid"])
    assert controller.state_of(execution) == "IN_PROGRESS"
    agent.script(trials=3)
    agent.start()
    ends_as(controller, execution, "SUCCEEDED")
    assert [message.record.trial for message in controller.results] == trials(3)


def test_while_the_runner_measures_nothing_is_uploaded(controller: Standin, agent: AgentProcess) -> None:
    agent.script(trials=2, hang_before=1, phase="measure", samples=True)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: any(u.progress.trials_done for u in controller.asked(Update)), what="progress")
    assert not controller.results
    assert not [entry for entry in controller.artifacts.log if entry[0] == "PUT"]
    os.kill(agent.starts[0]["pid"], signal.SIGKILL)
    agent.script(trials=2)
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(2)
