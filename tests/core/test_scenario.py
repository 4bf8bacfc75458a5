"""What a scenario may ask for, and which soaks turn the order of their trials."""

from __future__ import annotations

import re

import pytest

from edgedyno.core.document import decode_yaml
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import FixedRate, JobSpec, Scenario, Soak, Throughput
from edgedyno.core.result import Bounded
from edgedyno.core.result import Soak as SoakSummary
from edgedyno.core.scenario import Flip, check_scenario, rank_flips
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "scenario",
    [
        "single-stream",
        Scenario(fixed_rate=FixedRate(0.5)),
        Scenario(fixed_rate=FixedRate(2000)),
        Scenario(throughput=Throughput(1024)),
        Scenario(soak=Soak(5.0)),
    ],
)
def test_good_scenarios_pass(scenario: Scenario) -> None:
    check_scenario(scenario, max_seconds=600, trials=2)


@pytest.mark.parametrize(
    ("scenario", "code", "words"),
    [
        (Scenario(), "scenario.invalid", "found none"),
        (
            Scenario(fixed_rate=FixedRate(30), soak=Soak(1)),
            "scenario.invalid",
            "found fixed-rate and soak, expected exactly one",
        ),
        (Scenario(fixed_rate=FixedRate(0)), "scenario.invalid", "fps: found 0, expected 0.5 to 2000"),
        (Scenario(fixed_rate=FixedRate(-30)), "scenario.invalid", "fps: found -30"),
        (Scenario(fixed_rate=FixedRate(1e6)), "scenario.invalid", "fps: found 1e+06, expected 0.5 to 2000"),
        (
            Scenario(soak=Soak(30)),
            "soak.too-long",
            "found 30 min for each of 2 trials, 3600 s in all; expected at most measure",
        ),
    ],
)
def test_bad_scenarios_are_refused_with_the_numbers(scenario: Scenario, code: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_scenario(scenario, max_seconds=600, trials=2)
    assert caught.value.code == code
    assert words in str(caught.value)


def soak(first: float, slowdown: float, *, sure: float | None = 0.01) -> SoakSummary:
    ratio = Bounded(slowdown)
    if sure is not None:
        ratio = Bounded(slowdown, slowdown * (1 - sure), slowdown * (1 + sure))
    return SoakSummary(1800.0, first, first * slowdown, ratio)


def test_a_trial_that_throttles_loses_its_rank() -> None:
    soaks = {
        "two threads": soak(0.020, 1.0),
        "four threads": soak(0.015, 1.6),
        "one thread": soak(0.040, 1.0),
    }
    assert rank_flips(soaks) == [Flip(fresh="four threads", sustained="two threads")]


def test_what_noise_could_turn_is_no_flip() -> None:
    assert rank_flips({"a": soak(0.0200, 1.02, sure=0.05), "b": soak(0.0201, 1.0, sure=0.05)}) == []
    assert rank_flips({"a": soak(0.020, 1.6, sure=None), "b": soak(0.025, 1.0)}) == []


def test_an_unchanged_order_is_no_flip() -> None:
    assert rank_flips({"a": soak(0.010, 1.1), "b": soak(0.020, 1.6)}) == []
    assert rank_flips({}) == []


def test_the_jobs_of_the_docs_can_be_measured() -> None:
    text = (ROOT / "docs/scenarios.md").read_text()
    jobs = [decode_yaml(block, JobSpec) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert len(jobs) == 3
    for job in jobs:
        check_scenario(job.sweep.scenario, max_seconds=job.measure.max_seconds, trials=4)
