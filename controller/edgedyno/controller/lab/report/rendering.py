"""Put verdicts, figures and facts into the page. Jinja escapes whatever comes from users."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape
from msgspec import Struct

from edgedyno.controller.lab.language import ENGLISH, retell, say, speaking, spoken
from edgedyno.controller.lab.report.board import Source, describe_board
from edgedyno.controller.lab.report.examples import Budget
from edgedyno.controller.lab.report.examples.gallery import PAGE_BYTES
from edgedyno.controller.lab.report.examples.labels import Labels
from edgedyno.controller.lab.report.fidelity import output_columns
from edgedyno.controller.lab.report.reproduce import describe_reproduction
from edgedyno.controller.lab.report.words import ANSWERS, KINDS, STAGES, limit_in_words
from edgedyno.controller.lab.verdict import (
    GroupVerdict,
    Verdict,
    group_title,
    judge,
    judge_groups,
    newest_attempts,
    quantities,
)
from edgedyno.controller.lab.verdict.measured import QUANTITIES
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HTML_LANGUAGES = {ENGLISH: "en", "zh": "zh-CN"}
# Three words or more of English in a page of another language: what no catalogue has, or a name of several words.
_ENGLISH_RUN = re.compile(r"[A-Za-z][\w'/.-]*(?:[ ,;:()]+[\w'%/.()-]+){2,}", re.ASCII)


class Section(Struct, frozen=True):
    """One job on the page: what was judged, measured and submitted."""

    verdicts: list[Verdict]
    results: list[Result]
    resolved: ResolvedJob
    groups: list[GroupVerdict] = []
    """Verdicts over several boards, made with those of each."""


def render_report(
    sections: Sequence[Section],
    *,
    read: Callable[[str], bytes],
    language: str = ENGLISH,
    images: bool = True,
    groups: Sequence[GroupVerdict] = (),
) -> str:
    """Return one HTML page that loads nothing from anywhere; `read` gives an artifact's bytes by sha256.

    The verdicts' own sentences are in the language that was spoken when they were made. Without `images` no image
    of the data set is on the page. `groups` are verdicts over boards of several sections.
    """
    with speaking(language):
        template = _environment().get_template("report.html.j2")
        budget = Budget(PAGE_BYTES if images else 0)
        described = [
            _describe(section, read=read, budget=budget, key=f"job{index}")
            for index, section in enumerate(sections)
        ]
        return template.render(
            sections=described,
            groups=describe_groups(groups),
            answers=[board.answer for section in described for board in section["boards"]],
            language=HTML_LANGUAGES[language],
            images_left_out=not images,
        )


def judge_and_render(
    jobs: Sequence[tuple[list[Result], ResolvedJob]],
    *,
    read: Callable[[str], bytes],
    language: str = ENGLISH,
    images: bool = True,
    groups: Callable[[list[Section]], list[GroupVerdict]] = lambda _: [],
) -> str:
    """Return the page of jobs with their verdicts made in its language; `groups` judges boards of several of them."""
    with speaking(language):
        sections = [_judged(results, resolved, read) for results, resolved in jobs]
        over_all = groups(sections)
    return render_report(sections, read=read, language=language, images=images, groups=over_all)


def _judged(results: list[Result], resolved: ResolvedJob, read: Callable[[str], bytes]) -> Section:
    verdicts = judge(results, spec=resolved.spec, read=read)
    return Section(verdicts, results, resolved, judge_groups(verdicts, results, resolved.spec))


def _describe(section: Section, *, read: Callable[[str], bytes], budget: Budget, key: str) -> dict[str, Any]:
    trials = newest_attempts(section.results)
    source = Source(section.resolved, Labels.of(section.resolved, read), read, budget)
    boards = [
        describe_board(verdict, _of(verdict, trials), source, key=f"{key}board{index}")
        for index, verdict in enumerate(section.verdicts)
    ]
    return {
        "job": section.resolved.spec,
        "groups": describe_groups(section.groups),
        "boards": boards,
        "trials": len(trials),
        "started": _minute(min((result.started_at for result in trials), default="")),
        "requirements": _requirements(section.resolved),
        "reproduction": describe_reproduction(section.resolved, trials),
    }


def describe_groups(groups: Sequence[GroupVerdict]) -> list[tuple[str, str, GroupVerdict]]:
    """Return style, title and verdict of each group."""
    return [(KINDS[group.answer], group_title(group), group) for group in groups]


def _minute(started_at: str) -> str:
    """Write a UTC time to the minute; what is no ISO time stays as it is."""
    try:
        moment = datetime.fromisoformat(started_at.replace("Z", "+00:00"))
    except ValueError:
        return started_at
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _of(verdict: Verdict, results: list[Result]) -> list[Result]:
    key = (verdict.board, verdict.model, verdict.job)
    return [result for result in results if (result.board, result.model, result.job) == key]


def _requirements(resolved: ResolvedJob) -> list[str]:
    """Return each declared requirement in words."""
    require = resolved.spec.require
    return [
        limit_in_words(quantity.name, quantity.sense, quantity.write(limit))
        for quantity in QUANTITIES
        if (limit := getattr(require, quantity.name)) is not None
    ]


def told(text: str) -> Markup:
    """Return a sentence for the page: in its language, units bound to their numbers, what stayed English marked."""
    words = quantities.bind_units(retell(text))
    if spoken() == ENGLISH:
        return escape(words)
    pieces, at = [], 0
    for found in _ENGLISH_RUN.finditer(words):
        pieces += [escape(words[at : found.start()]), Markup('<span lang="en">{}</span>').format(found[0])]
        at = found.end()
    return Markup("").join([*pieces, escape(words[at:])])


def _stop(text: str) -> Markup:
    """Return a sentence with a full stop, unless it has one."""
    return told(text) if text.endswith((".", "。", "!", "?")) else told(say("{sentence}.", sentence=text))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgedyno.controller.lab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "say": say,
        "stages": STAGES,
        "answers_in_words": ANSWERS,
        "output_columns": output_columns,
    }
    environment.filters |= {
        "told": told,
        "stop": _stop,
        "seconds": quantities.format_seconds,
        "points": quantities.format_points,
        "score": quantities.format_ratio,
        "bytes": quantities.format_bytes,
        "joules": quantities.format_joules,
        "watts": quantities.format_watts,
        "span_seconds": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_seconds),
        "span_points": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_points),
        "span_score": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_ratio),
        "span_joules": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_joules),
    }
    return environment
