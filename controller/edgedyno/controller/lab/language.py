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
_DEPTH = 7
_CODE = r"`[^`]*`"
_BRACKETED = r"\((?:[^()]|\([^()]*\))*\)"
_HAN = "\u4e00-\u9fff"
_BETWEEN_SCRIPTS = re.compile(rf"(?<=[{_HAN}])(?=[A-Za-z0-9±`])|(?<=[A-Za-z0-9%`])(?=[{_HAN}])")
# Full-width comma, full stop, semicolon, colon, enumeration comma and brackets.
_MARKS = "\uff0c\u3002\uff1b\uff1a\u3001\uff08\uff09"
_BESIDE_MARKS = re.compile(rf"(?<=[{_MARKS}]) +| +(?=[{_MARKS}])")
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
    return set_in_type(catalogue(language).get(template, template).format(**told))


def retell(text: str) -> str:
    """Return a record's English sentence in the language that is spoken; as it is where no template fits."""
    language = _language.get()
    return text if language == ENGLISH else set_in_type(_retold(language, text, _DEPTH))


def set_in_type(text: str) -> str:
    """Put a space between Chinese and Latin letters or figures, and none beside full-width marks."""
    return _BESIDE_MARKS.sub("", _BETWEEN_SCRIPTS.sub(" ", text))


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
    if depth == 0 or (not text.isascii() and not any(one.isascii() and one.isalpha() for one in text)):
        return text
    whole = records(language).get(text)
    if whole is not None:
        return whole
    for separator in _SEPARATORS:
        # A template without the separator would take what is strung together for one value.
        told = _by_pattern(language, text, depth, separator) or _in_parts(language, text, depth, separator)
        if told is not None:
            return told
    return _by_pattern(language, text, depth, "") or text


def _by_pattern(language: str, text: str, depth: int, holding: str) -> str | None:
    """Retell by the first template that fits, of those that are `holding` a separator; None: none does."""
    for pattern, english, other in _patterns(language):
        found = pattern.fullmatch(text) if holding in english else None
        if found is not None:
            values = {name: _retold(language, value, depth - 1) for name, value in found.groupdict().items()}
            return other.format(**values)
    return None


def _in_parts(language: str, text: str, depth: int, separator: str) -> str | None:
    """Retell each of the parts that a record strung together; None where none is known."""
    parts = _split(text, separator)
    told = [_retold(language, part, depth - 1) for part in parts] if len(parts) > 1 else parts
    return None if told == parts else catalogue(language).get(separator, separator).join(told)


def _split(text: str, separator: str) -> list[str]:
    """Split where a separator stands outside of brackets and of `code`."""
    whole = re.compile(f"{_CODE}|{_BRACKETED}|({re.escape(separator)})")
    parts, at = [], 0
    for found in whole.finditer(text):
        if found[1]:
            parts.append(text[at : found.start()])
            at = found.end()
    return [*parts, text[at:]]


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str, str]]:
    """Return what matches a filled-in English template, the most specific first, with both languages' templates."""
    found = [(english, other) for english, other in records(language).items() if _NAME.search(english)]
    # What ends in brackets is said of all before them.
    found.sort(key=lambda pair: (not pair[0].endswith(")"), -len(_NAME.sub("", pair[0]))))
    return [(_pattern(english), english, other) for english, other in found]


def _pattern(template: str) -> re.Pattern[str]:
    parts = _NAME.split(template)
    seen: set[str] = set()
    written = ""
    for place, part in enumerate(parts):
        if place % 2 == 0:
            written += re.escape(part)
        else:
            written += f"(?P={part})" if part in seen else f"(?P<{part}>(?:{_CODE}|{_BRACKETED}|[^`()])+?)"
            seen.add(part)
    return re.compile(written, re.DOTALL)
