"""Sentences in the reader's language: the English template is the key, a catalogue has the others."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Have `say` speak `language` within the block; ValueError when there is no catalogue of it."""
    if language not in LANGUAGES:
        raise ValueError(f"found language {language!r}, expected one of {', '.join(LANGUAGES)}")
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def phrase(template: str) -> str:
    """Mark a template that is said later, by whoever uses it, so that whoever translates finds it."""
    return template


def say(template: str, **values: object) -> str:
    """Return `template` in the language that is spoken, with its `{names}` filled in; English where none has it."""
    return catalogue(_language.get()).get(template, template).format(**values)


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the sentences of a language by their English templates; empty for English."""
    if language == ENGLISH:
        return {}
    folder = resources.files("edgedyno.controller.lab") / "languages"
    text = (folder / f"{language}.yaml").read_text("utf-8")
    return yaml.safe_load(text) or {}
