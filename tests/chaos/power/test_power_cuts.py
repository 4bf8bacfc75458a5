"""Results that the agent took, and acks that it followed, outlive a power cut at any moment."""

from __future__ import annotations

from tests.chaos.power.cuts import simulate


def test_nothing_promised_is_lost() -> None:
    outcomes = simulate(400, seed=7, per_life=200)
    assert dict(outcomes) == {"kept": 400}


def test_less_safety_would_be_seen() -> None:
    outcomes = simulate(100, 7, "OFF", per_life=100)
    assert outcomes["lost or changed"] + outcomes["corrupt"] > 10
