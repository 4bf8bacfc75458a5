"""Every rule has a test, every test has a rule, and the rules are written so that they can be checked."""

from __future__ import annotations

import re

from tests.protocol.rules import DOCUMENT, rules_of_the_document, rules_of_the_tests


def test_every_rule_has_a_test_and_every_named_rule_exists() -> None:
    written, tested = rules_of_the_document(), rules_of_the_tests()
    assert len(written) >= 60
    assert [name for name in written if name not in tested] == []
    assert [name for name in tested if name not in written] == []


def test_the_rules_are_numbered_in_order_and_each_says_must_in_one_sentence() -> None:
    lines = re.findall(r"^- \*\*(R\d+)\*\* (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert [name for name, _ in lines] == [f"R{number}" for number in range(1, len(lines) + 1)]
    for name, text in lines:
        assert "MUST" in text, name
        assert text.endswith("."), name
        assert ". " not in text, name
