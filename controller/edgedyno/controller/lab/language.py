"""Sentences in the reader's language: the English template is the key, a catalogue has the others.

Sentences that boards and scoring wrote into records are English there; `retell` finds the template that they were
made from and says it anew.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")
# What a record may string together; each part is retold by itself.
_SEPARATORS = ("; ", ": ")
_DEPTH = 3
_NAME = re.compile(r"\{(\w+)\}")

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


def spoken() -> str:
    """Return the language that is spoken."""
    return _language.get()


def phrase(template: str) -> str:
    """Mark a template that is said later, by whoever uses it, so that whoever translates finds it."""
    return template


def say(template: str, **values: object) -> str:
    """Return `template` in the language that is spoken, with its `{names}` filled in; English where none has it.

    A value that is a sentence of a record is retold.
    """
    language = _language.get()
    if language == ENGLISH:
        return template.format(**values)
    told = {name: retell(value) if isinstance(value, str) else value for name, value in values.items()}
    return catalogue(language).get(template, template).format(**told)


def retell(text: str) -> str:
    """Return a record's English sentence in the language that is spoken; as it is where no template fits."""
    language = _language.get()
    return text if language == ENGLISH else _retold(language, text, _DEPTH)


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the sentences of a language by their English templates; empty for English."""
    return {} if language == ENGLISH else _read(f"{language}.yaml")


@cache
def records(language: str) -> dict[str, str]:
    """Return the sentences that records carry, by their English templates; empty for English."""
    return {} if language == ENGLISH else _read(f"{language}-records.yaml")


def _read(file: str) -> dict[str, str]:
    text = (resources.files("edgedyno.controller.lab") / "languages" / file).read_text("utf-8")
    return yaml.safe_load(text) or {}


@lru_cache(maxsize=4096)
def _retold(language: str, text: str, depth: int) -> str:
    if depth == 0 or not text.isascii() and not any(one.isascii() and one.isalpha() for one in text):
        return text
    whole = records(language).get(text)
    if whole is not None:
        return whole
    for pattern, template in _patterns(language):
        found = pattern.fullmatch(text)
        if found is not None:
            values = {name: _retold(language, value, depth - 1) for name, value in found.groupdict().items()}
            return template.format(**values)
    return _in_parts(language, text, depth)


def _in_parts(language: str, text: str, depth: int) -> str:
    """Retell each of the parts that a record strung together; all of it stays where none is known."""
    for separator in _SEPARATORS:
        parts = text.split(separator)
        if len(parts) > 1:
            told = [_retold(language, part, depth - 1) for part in parts]
            if told != parts:
                return catalogue(language).get(separator, separator).join(told)
    return text


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Return what matches a filled-in English template, the most specific first, with the other language's."""
    found = [(english, other) for english, other in records(language).items() if _NAME.search(english)]
    found.sort(key=lambda pair: -len(_NAME.sub("", pair[0])))
    return [(_pattern(english), other) for english, other in found]


def _pattern(template: str) -> re.Pattern[str]:
    parts = _NAME.split(template)
    seen: set[str] = set()
    written = ""
    for place, part in enumerate(parts):
        if place % 2 == 0:
            written += re.escape(part)
        else:
            written += f"(?P={part})" if part in seen else f"(?P<{part}>.+?)"
            seen.add(part)
    return re.compile(written, re.DOTALL)
