"""Classes of failures: by the whole code, else by its first part, else nobody's to mend by itself."""

from __future__ import annotations

import re

import pytest

from edgedyno.core.failures import CLASSES, code_of, failure_class, limit_of
from edgedyno.core.job import Retry
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("FAILED", "artifact.unreachable: no route to host", "infrastructure"),
        ("FAILED", "artifact.disk-full: 3 MiB free", "device"),
        ("FAILED", "cores.unknown: found 'big'", "job"),
        ("FAILED", "cores.offline: CPU 3", "device"),
        ("FAILED", "runner.died: 4 times", "device"),
        ("FAILED", "model.load: not an ONNX file", "model"),
        ("TIMED_OUT", "timeout.silence: no word for 900 s", "infrastructure"),
        ("TIMED_OUT", "timeout.whole: it ran longer than 2 s", "device"),
        ("TIMED_OUT", "timeout.queue: no board took it", "job"),
        ("TIMED_OUT", "it ran longer than 2 s", "device"),
        ("REJECTED", "manifest.invalid: found 'dreams'", "job"),
        ("FAILED", "surprise: what?", "job"),
        ("FAILED", "Some words: and more", "job"),
        ("FAILED", None, "job"),
        ("SUCCEEDED", None, None),
        ("CANCELED", "canceled by force: late", None),
        ("REMOVED", "its board was removed", None),
    ],
)
def test_a_reason_has_a_class(state: str, reason: str | None, expected: str | None) -> None:
    assert failure_class(state, reason) == expected  # type: ignore[arg-type]


def test_a_code_is_one_word_before_a_colon() -> None:
    assert code_of("runner.died: 4 times") == "runner.died"
    assert [code_of(text) for text in (None, "", ": x", "two words: x", "no colon")] == [None] * 5


def test_each_class_has_a_limit_of_its_own() -> None:
    policy = Retry(infrastructure=1, device=2, job=3, model=4)
    assert [limit_of(policy, kind) for kind in CLASSES] == [1, 2, 3, 4]


def test_the_page_states_the_defaults_and_examples_of_the_table() -> None:
    page = (ROOT / "docs/protocol.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (\d+) \|$", page, re.MULTILINE)
    assert [(kind, int(limit)) for kind, _, limit in rows] == [
        (kind, limit_of(Retry(), kind)) for kind in CLASSES
    ]
    for kind, text, _ in rows:
        for code in re.findall(r"`(\w+\.[\w-]+)`", text):
            assert failure_class("FAILED", f"{code}: x") == kind, code
