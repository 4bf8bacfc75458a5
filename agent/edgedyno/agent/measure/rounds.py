"""When a result is void although some of its rounds were quiet. Not responsible for what voids one round."""

from __future__ import annotations

# A round is judged by bounds, and what stays just below them is let through. Where most rounds were disturbed,
# the quiet ones are those that the disturbance happened to miss: they are chosen by what they are to measure.
MOST_VOID_ROUNDS = 0.5


def judge_rounds(*, quiet: int, void: int, enough_quiet: bool) -> list[str]:
    """Return why the rounds void the whole result; empty when its quiet rounds stand for it."""
    rounds = quiet + void
    if not void:
        return []
    if not enough_quiet:
        return [f"{void} of {rounds} rounds were void: too few quiet ones are left"]
    if void > MOST_VOID_ROUNDS * rounds:
        return [f"{void} of {rounds} rounds were void (bound {MOST_VOID_ROUNDS:.0%})"]
    return []
