"""The one function that opens waves, pauses, aborts and grants starts: by cases, and against random fleets."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedyno.controller.rollout.decision import Decision, Standing, Wave, decide, resumed
from edgedyno.core.rollout import Rollout

CANARY = Rollout(canary=1)


@pytest.mark.parametrize(
    ("rollout", "waves", "standing", "slots"),
    [
        (CANARY, [Wave(queued=1), Wave(queued=5)], Standing(), None),
        (CANARY, [Wave(running=1), Wave(queued=5)], Standing(), None),
        (CANARY, [Wave(succeeded=1), Wave(queued=5)], Standing(wave=1), None),
        (
            CANARY,
            [Wave(failed=1), Wave(queued=5)],
            Standing(
                "aborted",
                reason="wave 1: 1 of 1 executions failed: success: 100% can no longer be reached",
            ),
            0,
        ),
        (
            Rollout(canary=1, then="pause"),
            [Wave(succeeded=1), Wave(queued=5)],
            Standing("paused", at_gate=True, reason="wave 1: 1 of 1 executions succeeded: then: pause"),
            0,
        ),
        # Enough have succeeded: stragglers are not waited for.
        (Rollout(canary=4, success=0.5), [Wave(1, 1, 2, 0), Wave(queued=9)], Standing(wave=1), None),
        # Neither enough successes nor enough failures: someone has to look.
        (
            Rollout(canary=4, success=1.0, failure=0.5),
            [Wave(succeeded=3, failed=1), Wave(queued=9)],
            Standing(
                "paused", at_gate=True, reason="wave 1: 3 of 4 executions succeeded, expected 100%"
            ),
            0,
        ),
        (
            Rollout(canary=4, success=1.0, failure=0.5),
            [Wave(running=2, failed=2), Wave(queued=9)],
            Standing("aborted", reason="wave 1: 2 of 4 executions failed: failure: 50% is reached"),
            0,
        ),
        # The last wave has no gate behind it, but aborts as well.
        (
            Rollout(canary=1, failure=0.2, success=0.5),
            [Wave(succeeded=1), Wave(queued=3, running=1, failed=1)],
            Standing("aborted", 1, reason="wave 2: 1 of 5 executions failed: failure: 20% is reached"),
            0,
        ),
        (Rollout(max_boards=2), [Wave(queued=5, running=2)], Standing(), 0),
        (Rollout(max_boards=2), [Wave(queued=5, running=1)], Standing(), 1),
        (Rollout(max_boards=2, canary=1), [Wave(succeeded=1), Wave(queued=5)], Standing(wave=1), 2),
        (Rollout(waves=[1, 2]), [Wave(succeeded=1), Wave(succeeded=1), Wave(queued=1)], Standing(wave=2), None),
        (Rollout(success=0.1), [Wave(succeeded=3, failed=27), Wave(queued=1)], Standing(wave=1), None),
    ],
)  # fmt: skip
def test_cases(rollout: Rollout, waves: list[Wave], standing: Standing, slots: int | None) -> None:
    assert decide(rollout, Standing(), waves) == Decision(standing, slots)


def test_what_is_paused_or_aborted_stays_so() -> None:
    for standing in (Standing("paused", 1), Standing("aborted", 1)):
        for rollout in (CANARY, None):
            decision = decide(rollout, standing, [Wave(succeeded=1), Wave(queued=1)])
            assert decision == Decision(standing, 0)
            assert not any(decision.allows(wave) for wave in range(3))


def test_going_on_after_a_wave_opens_the_next_and_else_changes_nothing() -> None:
    assert resumed(Standing("paused", 2, at_gate=True)) == Standing(wave=3)
    assert resumed(Standing("paused", 2, reason="paused by an operator")) == Standing(wave=2)


RULES = [
    Rollout(canary=1, success=success, failure=failure, then=then, max_boards=most)  # type: ignore[arg-type]
    for success, failure, then, most in product((0.5, 1.0), (None, 0.5, 1.0), ("next", "pause"), (None, 1, 2))
]


@pytest.mark.parametrize("rule", RULES)
def test_every_state_of_two_small_waves(rule: Rollout) -> None:
    """All counts of up to two boards in each of two waves, from every standing that is running."""
    counts = [c for c in product(range(3), repeat=4) if 1 <= sum(c) <= 2]
    for first, second in product(counts, counts):
        waves = [Wave(*first), Wave(*second)]
        for begin in (0, 1):
            found = decide(rule, Standing(wave=begin), waves)
            again = decide(rule, found.standing, waves)
            assert again == found, "decided again, it is the same"
            assert found.standing.wave >= begin
            running = waves[0].running + waves[1].running
            if rule.max_boards is not None and running >= rule.max_boards:
                assert not found.allows(0)
            if begin == 0 and found.allows(1):
                assert waves[0].succeeded >= rule.success * waves[0].size
            if found.standing.status == "aborted":
                assert waves[0].failed or waves[1].failed
            if found.standing.status != "running":
                assert found.slots == 0
                assert found.standing.reason


@dataclass
class Simulated:
    """Boards that start and end by chance under one rule, and an operator who resumes what is paused."""

    rule: Rollout
    states: list[list[str]]
    chance: random.Random
    standing: Standing = field(default_factory=Standing)
    resumes: int = 0
    waves_begun: set[int] = field(default_factory=set)

    def waves(self) -> list[Wave]:
        """Count."""
        return [
            Wave(*(wave.count(s) for s in ("queued", "running", "succeeded", "failed")))
            for wave in self.states
        ]

    def step(self) -> bool:
        """Do one thing; False when nothing is left to do."""
        decision = decide(self.rule, self.standing, self.waves())
        self.standing = decision.standing
        if self.standing.status == "aborted":
            for wave in self.states:
                wave[:] = ["failed" if state == "queued" else state for state in wave]
        places = [(n, i) for n, wave in enumerate(self.states) for i in range(len(wave))]
        startable = [(n, i) for n, i in places if self.states[n][i] == "queued" and decision.allows(n)]
        running = [(n, i) for n, i in places if self.states[n][i] == "running"]
        if not startable and not running:
            return self._resume()
        n, i = self.chance.choice([*startable, *running])
        if self.states[n][i] == "queued":
            self.states[n][i] = "running"
            self.waves_begun.add(n)
        else:
            self.states[n][i] = self.chance.choice(["succeeded", "succeeded", "failed"])
        return True

    def _resume(self) -> bool:
        if self.standing.status != "paused":
            return False
        self.standing = resumed(self.standing)
        self.resumes += 1
        return True


SHARES = st.sampled_from([0.1, 0.5, 0.9, 1.0])


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    success=SHARES,
    failure=st.none() | SHARES,
    then=st.sampled_from(["next", "pause"]),
    most=st.none() | st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_any_fleet_keeps_to_the_rule_and_ends(
    sizes: list[int], success: float, failure: float | None, then: str, most: int | None, seed: int
) -> None:
    rule = Rollout(success=success, failure=failure, then=then, max_boards=most)  # type: ignore[arg-type]
    fleet = Simulated(rule, [["queued"] * size for size in sizes], random.Random(seed))
    for _ in range(20 * sum(sizes) + 20):
        before, standing = fleet.waves(), fleet.standing
        if not fleet.step():
            break
        after = fleet.waves()
        if most is not None:
            assert sum(wave.running for wave in after) <= most
        for number, (was, now) in enumerate(zip(before, after, strict=True)):
            if now.running > was.running:
                assert standing.status == "running", "nothing starts of what is paused or aborted"
                assert number <= fleet.standing.wave
                for earlier in before[:number]:
                    enough = earlier.succeeded >= success * earlier.size - 1e-9
                    assert enough or fleet.resumes, "never beyond a wave before its success"
    else:
        pytest.fail("it does not end")
    assert all(state in ("succeeded", "failed") for wave in fleet.states for state in wave)
    if then == "pause" and fleet.standing.status == "running":
        assert fleet.resumes >= len(sizes) - 1
