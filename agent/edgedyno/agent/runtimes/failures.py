"""What a runtime's error means: the first sign that is found in its words gives the code."""

from typing import Sequence, Tuple

from edgedyno.agent.runtimes.base import InferenceError


def explain(error: Exception, signs: Sequence[Tuple[str, str]]) -> InferenceError:
    """Put an error under a stable code by pairs of (sign in lower case, code); `model.load` where none is found."""
    text = str(error).strip()
    named = "%s: %s" % (type(error).__name__, text)
    for sign, code in signs:
        if sign in named.lower():
            return InferenceError(code, text or named)
    return InferenceError("model.load", named)
