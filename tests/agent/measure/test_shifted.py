"""A trial whose latency shifted is void in its record, unless drift is what was asked for."""

from __future__ import annotations

import numpy as np

from edgedyno.agent.measure.journal import TrialLog
from edgedyno.agent.measure.record import _validity
from edgedyno.core.result import Burst


def log(later: float) -> TrialLog:
    rng = np.random.default_rng(2)
    levels = np.where(np.arange(80) < 30, 0.01, 0.01 * later) * np.exp(0.02 * rng.standard_normal(80))
    return TrialLog(
        "t", bursts=[Burst(at, float(at), [1.0, level]) for at, level in enumerate(levels.tolist())]
    )


def test_a_shift_voids_a_trial_with_its_reason() -> None:
    found = _validity(log(1.4), may_drift=False)
    assert not found.valid
    assert len(found.reasons) == 1
    assert "latency" in found.reasons[0]


def test_a_steady_trial_and_a_soak_are_valid() -> None:
    assert _validity(log(1.0), may_drift=False).valid
    assert _validity(log(1.4), may_drift=True).valid
