"""Classes of failures: who has to act before another attempt of an execution can end better. One table, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from edgedyno.core.job import Retry
    from edgedyno.core.messages import ExecutionState

FailureClass = Literal["infrastructure", "device", "job", "model"]
CLASSES: tuple[FailureClass, ...] = get_args(FailureClass)

# By a whole code, or by the part before its dot; the whole code goes first.
_CLASSES: dict[str, FailureClass] = {
    # Network, broker, controller, artifact store: they come back by themselves.
    "timeout.silence": "infrastructure",
    "artifact": "infrastructure",
    "broker": "infrastructure",
    "unreachable": "infrastructure",
    # The board: a runner that dies, a full disk, heat. Another attempt may find it in a better state.
    "timeout.whole": "device",
    "artifact.disk": "device",
    "artifact.disk-full": "device",
    "artifact.budget": "device",
    "canceled": "device",
    "caps": "device",
    "cores.barred": "device",
    "cores.offline": "device",
    "runner": "device",
    "runtime": "device",
    "scratch": "device",
    "storage": "device",
    "worker": "device",
    # What was asked for: it fails again until somebody asks for something else.
    "timeout.queue": "job",
    "board": "job",
    "config": "job",
    "cores": "job",
    "document": "job",
    "image": "job",
    "manifest": "job",
    "scenario": "job",
    "soak": "job",
    # The model and its variants.
    "build": "model",
    "model": "model",
    "output": "model",
    "selftest": "model",
    "variant": "model",
}
# A code that is not in the table, such as a newer agent's: a person has to look.
UNKNOWN: FailureClass = "job"


def code_of(reason: str | None) -> str | None:
    """Return the code that a reason of the form `code: text` begins with."""
    code, colon, _ = (reason or "").partition(":")
    return code if colon and code and " " not in code else None


def failure_class(state: ExecutionState, reason: str | None) -> FailureClass | None:
    """Return the class of an ended attempt; None for one that did not fail."""
    if state not in ("FAILED", "TIMED_OUT", "REJECTED"):
        return None
    code = code_of(reason)
    if code is None:
        # Agents of 0.1.0 say that a whole timeout has come without a code.
        return "device" if state == "TIMED_OUT" else UNKNOWN
    return _CLASSES.get(code) or _CLASSES.get(code.partition(".")[0]) or UNKNOWN


def wait_seconds(policy: Retry, retries: int, chance: float) -> float:
    """Return how long to wait before automatic retry number `retries` (from 1); `chance` is from 0 to 1.

    It doubles up to a ceiling and has equal jitter: a fleet that failed together does not come back together.
    """
    ceiling = min(policy.backoff_max, policy.backoff * 2.0 ** min(retries - 1, 32))
    return ceiling * (0.5 + 0.5 * chance)


def limit_of(policy: Retry, kind: FailureClass) -> int:
    """Return how many automatic retries a policy grants to failures of a class."""
    limits: dict[FailureClass, int] = {
        "infrastructure": policy.infrastructure,
        "device": policy.device,
        "job": policy.job,
        "model": policy.model,
    }
    return limits[kind]
