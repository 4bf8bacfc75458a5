"""Whatever the verdict tells people can be told in another language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.controller.lab import verdict
from edgedyno.controller.lab.language import catalogue, say, speaking
from edgedyno.controller.lab.verdict import verdict_lines
from edgedyno.controller.lab.verdict.layout import columns_of
from tests.controller.synthetic import SWEEP, failed
from tests.controller.templates import templates_of, unspoken
from tests.controller.verdict.test_judging import verdict_of

if TYPE_CHECKING:
    import pytest

FOLDER = Path(verdict.__file__).parent


def test_no_words_bypass_the_catalogue() -> None:
    assert unspoken(FOLDER) == []


def test_what_bypasses_it_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        '"""Docstring of several words."""\nx = f"{1} is slower"\ny = "not at all"\nz = say("fine this {way}", way=1)\n'
    )
    assert [found.partition(": ")[0] for found in unspoken(tmp_path)] == ["bad.py:2", "bad.py:3"]


def test_templates_are_whole_and_name_what_they_take() -> None:
    templates = templates_of(FOLDER)
    assert len(templates) > 100
    assert "{trial} is {difference}" in templates
    for template in templates:
        assert re.fullmatch(r"(?:[^{}]|\{[a-z_]+(?::\.\d[f%])?\})*", template), template


def test_chinese_takes_the_same_names() -> None:
    for english, chinese in catalogue("zh").items():
        names = set(re.findall(r"\{(\w+)", english))
        assert set(re.findall(r"\{(\w+)", chinese)) <= names, english


def test_lines_of_wide_characters_keep_to_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "请使用它、因为在所有满足要求的部署里它是最快的。" * 3
    words = {"Use {trial}: {claim}.": sentence, "trial": "试验", "median": "中位数"}
    monkeypatch.setattr("edgedyno.controller.lab.language.catalogue", lambda _: words)
    with speaking("zh"):
        assert say("median") == "中位数"
        lines = verdict_lines(verdict_of(*SWEEP, failed("int8", 4), accuracy_drop=0.01))
    text = "".join(line.strip() for line in lines)
    assert sentence in text
    assert max(map(columns_of, lines)) <= 80
