"""Put verdicts, figures and facts into the page. Jinja escapes whatever comes from users."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING

import jinja2
from msgspec import Struct

from edgedyno.controller.lab.report.board import describe_board
from edgedyno.controller.lab.report.reproduce import describe_reproduction
from edgedyno.controller.lab.report.texts import ENGLISH, Texts
from edgedyno.controller.lab.verdict import Verdict, newest_attempts, quantities
from edgedyno.controller.lab.verdict.measured import QUANTITIES
from edgedyno.controller.lab.verdict.objectives import write_missed, write_short
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Section(Struct, frozen=True):
    """One job on the page: what was judged, measured and submitted."""

    verdicts: list[Verdict]
    results: list[Result]
    resolved: ResolvedJob


def render_report(
    sections: Sequence[Section], *, read: Callable[[str], bytes], texts: Texts = ENGLISH
) -> str:
    """Return one HTML page that loads nothing from anywhere; `read` gives an artifact's bytes by sha256."""
    template = _environment().get_template("report.html.j2")
    described = [
        _describe(section, read=read, texts=texts, key=f"job{index}")
        for index, section in enumerate(sections)
    ]
    return template.render(t=texts, sections=described)


def _describe(section: Section, *, read: Callable[[str], bytes], texts: Texts, key: str) -> dict[str, object]:
    trials = newest_attempts(section.results)
    boards = [
        describe_board(verdict, _of(verdict, trials), read=read, texts=texts, key=f"{key}board{index}")
        for index, verdict in enumerate(section.verdicts)
    ]
    return {
        "job": section.resolved.spec,
        "boards": boards,
        "trials": len(trials),
        "started": _minute(min((result.started_at for result in trials), default="")),
        "requirements": _requirements(section.resolved),
        "reproduction": describe_reproduction(section.resolved, trials),
    }


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


def _requirements(resolved: ResolvedJob) -> list[tuple[str, str, str]]:
    """Return name, sense and limit of each declared requirement."""
    require = resolved.spec.require
    return [
        (quantity.name, quantity.sense, quantity.write(limit))
        for quantity in QUANTITIES
        if (limit := getattr(require, quantity.name)) is not None
    ]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgedyno.controller.lab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bound": quantities.bind_units,
        "seconds": quantities.format_seconds,
        "points": quantities.format_points,
        "score": quantities.format_ratio,
        "bytes": quantities.format_bytes,
        "short": write_short,
        "missed": write_missed,
        "joules": quantities.format_joules,
        "watts": quantities.format_watts,
        "span_seconds": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_seconds),
        "span_points": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_points),
        "span_score": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_ratio),
        "span_joules": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_joules),
    }
    return environment
