"""A whole execution: doorbell, lease, files, runner, results, outcome; and what can go wrong with the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.core.messages import Update
from tests.agent.fleet.samples import manifest, reference, sha256_of
from tests.conftest import wait_until

if TYPE_CHECKING:
    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin


def ends_as(controller: Standin, execution: str, state: str) -> None:
    wait_until(lambda: controller.state_of(execution) == state, what=f"{execution} as {state}")


def test_an_execution_runs_to_its_end(controller: Standin, agent: AgentProcess) -> None:
    variant, image = b"a model" * 1000, b"an image"
    for data in (variant, image):
        controller.artifacts.add(data)
    agent.script(trials=3, samples=True, shared_predictions=True, noise=True)
    agent.start()
    execution = controller.submit(manifest(files=(reference(variant), reference(image))))
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == [f"{n:016x}" for n in range(3)]
    for message in controller.results:
        assert controller.artifacts.files[message.record.samples_sha256]
        assert controller.artifacts.files[message.record.predictions_sha256] == b"the same for all"
        assert message.lease_id.startswith("lease-")
    assert set(agent.starts[0]["files"]) == {sha256_of(variant), sha256_of(image)}
    phases = [u.progress.phase for u in controller.asked(Update)]
    assert phases[0] == "fetch"
    assert phases[-1] == "upload"
    # Nothing of it is left on the board but the cached files.
    wait_until(lambda: not list((agent.state_dir / "work").iterdir()), what="work folder removed")
    assert not list((agent.state_dir / "spool").iterdir())
    assert agent.stop() == 0
    assert controller.states[-1].online is False
