"""kill -9 of the agent at random moments: every trial has exactly one result at the controller."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.agent.fleet.samples import manifest
from tests.agent.fleet.test_execution import ends_as, trials

if TYPE_CHECKING:
    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin

TRIALS = 40
KILLS = 6


@pytest.mark.parametrize("seed", range(2))
def test_every_trial_has_exactly_one_result(controller: Standin, agent: AgentProcess, seed: int) -> None:
    chance = random.Random(seed)
    agent.script(trials=TRIALS, pause_seconds=0.05, samples=True, shared_predictions=True)
    execution = controller.submit(manifest())
    for _ in range(KILLS):
        agent.start()
        time.sleep(chance.uniform(0.2, 1.2))
        agent.kill()
    agent.start()
    ends_as(controller, execution, "SUCCEEDED")
    told = Counter(message.record.trial for message in controller.counted.values())
    assert dict(told) == dict.fromkeys(trials(TRIALS), 1)
    # Arrivals may be doubled; one trial's copies are one and the same message.
    assert len({message.msg_id for message in controller.results}) == TRIALS
    for message in controller.results:
        assert message.record.samples_sha256 in controller.artifacts.files
