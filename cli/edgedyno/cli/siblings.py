"""`edgedyno boards compare`, and what it adds to a verdict: boards that stand out among their siblings."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import msgspec

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, say, stdout
from edgedyno.cli.verdict import text_width

if TYPE_CHECKING:
    from edgedyno.controller.lab.siblings import Comparison


def compare_boards(job: str | None, *, url: str, as_json: bool) -> None:
    """Print what stands out in the fleet, or on one job's trials."""
    found = comparison_of(job, url)
    if as_json:
        print_json(found)
        return
    from edgedyno.controller.lab.siblings_text import comparison_lines

    lines = list(comparison_lines(found))
    _print(lines)
    if not lines:
        say("no board has results yet")


def print_outliers(job: str, *, url: str) -> None:
    """Print the boards of a job that stand out, and nothing where none does."""
    from edgedyno.controller.lab.siblings_text import outlier_lines

    for outlier in comparison_of(job, url).outliers:
        stdout().print()
        _print(list(outlier_lines(outlier)))


def comparison_of(job: str | None, url: str) -> Comparison:
    """Return the controller's comparison."""
    from edgedyno.controller.lab.siblings import Comparison

    with Controller(url) as controller:
        data = controller.call("GET", "/siblings", params={"job": job} if job else None)
    return msgspec.convert(data, Comparison)


def _print(lines: list[str]) -> None:
    for line in lines:
        indent = " " * (4 + len(line) - len(line.lstrip()))
        text = textwrap.fill(line, text_width(), subsequent_indent=indent, break_long_words=False)
        stdout().print(text, markup=False, soft_wrap=True)
