"""Put verdicts, figures and facts into the page. Jinja escapes whatever comes from users."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING

import jinja2

from edgedyno.controller.lab.report.board import describe_board
from edgedyno.controller.lab.report.reproduce import describe_reproduction
from edgedyno.controller.lab.report.texts import ENGLISH, Texts
from edgedyno.controller.lab.verdict import newest_attempts, quantities
from edgedyno.controller.lab.verdict.measured import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgedyno.controller.lab.verdict import Verdict
    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.result import Result


def render_report(
    verdicts: Sequence[Verdict],
    results: Iterable[Result],
    *,
    resolved: ResolvedJob,
    read: Callable[[str], bytes],
    texts: Texts = ENGLISH,
) -> str:
    """Return one HTML page that loads nothing from anywhere; `read` gives an artifact's bytes by sha256."""
    trials = newest_attempts(results)
    boards = [
        describe_board(verdict, _of(verdict, trials), read=read, texts=texts, key=f"board{index}")
        for index, verdict in enumerate(verdicts)
    ]
    template = _environment().get_template("report.html.j2")
    return template.render(
        t=texts,
        job=resolved.spec,
        boards=boards,
        trials=len(trials),
        started=_minute(min((result.started_at for result in trials), default="")),
        requirements=_requirements(resolved),
        reproduction=describe_reproduction(resolved, trials),
    )


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
        "joules": quantities.format_joules,
        "watts": quantities.format_watts,
        "span_seconds": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_seconds),
        "span_points": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_points),
        "span_score": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_ratio),
        "span_joules": lambda pair: quantities.format_span(pair[0], pair[1], quantities.format_joules),
    }
    return environment
