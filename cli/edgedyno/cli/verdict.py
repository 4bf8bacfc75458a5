"""`edgedyno verdict` and `edgedyno report`: what to deploy, in words, from jobs and results folders."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.cli.client import Controller
from edgedyno.cli.notices import pass_notices
from edgedyno.cli.output import print_json, say, stdout
from edgedyno.cli.places import read_results, write_atomic
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.cli.judged import Judged
    from edgedyno.controller.lab.verdict import GroupVerdict, Verdict

LEAST_WIDTH, PLAIN_WIDTH, MOST_WIDTH = 60, 80, 140
STYLES = {"recommended": "bold green", "none meets": "bold red", "cannot tell": "bold yellow"}
REPORT = Path("edgedyno-report.html")


def show_verdicts(
    jobs: Sequence[str],
    *,
    url: str,
    as_json: bool,
    language: str | None = None,
    report: Path | None = None,
    open_report: bool = False,
) -> int:
    """Print the verdicts of jobs and folders; return 1 where a requirement is not met."""
    from edgedyno.cli.judged import groups_across, load_judged
    from edgedyno.controller.lab.language import speaking

    spoken = known_language(language)
    judged = [load_judged(job, url, spoken) for job in jobs]
    verdicts = [verdict for one in judged for verdict in one.verdicts]
    with speaking(spoken):
        groups = [*(group for one in judged for group in one.groups), *groups_across(judged)]
        if as_json:
            print_json({"verdicts": verdicts, "groups": groups})
        else:
            print_verdicts(verdicts, groups)
            _print_outliers(jobs, url)
            _print_notices(judged)
    if report is not None or open_report:
        show_pages(write_pages(judged, report or REPORT, url=url, language=spoken), open_them=open_report)
    return exit_code(verdicts)


def _print_notices(judged: Sequence[Judged]) -> None:
    """Say what the figures of folders leave open; a job's are told in its report."""
    for one in judged:
        labelled = one.resolved is not None and one.resolved.annotations is not None
        for notice in pass_notices(one.results, labelled=labelled):
            say(notice)


def _print_outliers(jobs: Sequence[str], url: str) -> None:
    from edgedyno.cli.siblings import print_outliers

    for job in jobs:
        if not Path(job).is_dir():
            print_outliers(job, url=url)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 0 when every board has a deployment that meets what the job requires."""
    from edgedyno.controller.lab.verdict import meets_requirements

    return 0 if meets_requirements(list(verdicts)) else 1


def print_verdicts(verdicts: Sequence[Verdict], groups: Sequence[GroupVerdict] = ()) -> None:
    """Print verdicts in words, all answers in short first where there are several."""
    from edgedyno.controller.lab.verdict import group_lines, summary_lines, verdict_lines

    width = text_width()
    if len(verdicts) + len(groups) > 1:
        stdout().print()
        _print_lines(summary_lines(verdicts, groups, width=width), "bold")
    for group in groups:
        stdout().print()
        _print_lines(group_lines(group, width=width), STYLES.get(group.answer, "bold"))
    for verdict in verdicts:
        stdout().print()
        _print_lines(verdict_lines(verdict, width=width), STYLES.get(verdict.answer, "bold"))


def _print_lines(lines: Sequence[str], style: str) -> None:
    """Print lines, the first of them in the colour of the answer."""
    headline, *rest = lines
    stdout().print(headline, style=style, markup=False, soft_wrap=True)
    for line in rest:
        stdout().print(line, markup=False, soft_wrap=True)


def text_width() -> int:
    """Return the terminal's width within reason; 80 columns where the output goes elsewhere."""
    return min(max(stdout().width, LEAST_WIDTH), MOST_WIDTH) if stdout().is_terminal else PLAIN_WIDTH


def write_report(job: str, *, out: Path | None, url: str, language: str | None, images: bool) -> None:
    """Write the report of a job of the controller, or of a results folder, into a file."""
    spoken = known_language(language)
    if Path(job).is_dir():
        page, target = _page_of_folders([Path(job)], spoken, images=images), Path(job) / "report.html"
    else:
        page, target = _page_of_job(job, url, spoken, images=images), Path(f"{job}.html")
    write_atomic(out or target, page.encode())
    say(f"wrote {out or target}")


def write_pages(judged: Sequence[Judged], target: Path, *, url: str, language: str) -> list[Path]:
    """Write one page for all folders, and one for each job of the controller where there are several pages."""
    folders = [one.folder for one in judged if one.folder is not None]
    pages = [_page_of_folders(folders, language)] if folders else []
    jobs = [one.place for one in judged if one.folder is None]
    pages += [_page_of_job(job, url, language) for job in jobs]
    names = ["", *jobs] if folders else jobs
    written = []
    for name, page in zip(names, pages, strict=True):
        path = target.with_stem(f"{target.stem}-{name}") if name and len(pages) > 1 else target
        write_atomic(path, page.encode())
        written.append(path)
    return written


def show_pages(pages: Sequence[Path], *, open_them: bool) -> None:
    """Open pages in the desktop's browser where there is one, and say where they lie."""
    for page in pages:
        say(f"report: {page}")
        if open_them and not (_has_desktop() and webbrowser.open(page.resolve().as_uri())):
            say(f"no desktop here to open it on; open {page.resolve()} in a browser")


def _has_desktop() -> bool:
    if sys.platform in {"darwin", "win32"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def known_language(language: str | None) -> str:
    """Return a language that can be spoken: the one named, else the system's, else English. Raises ConfigError."""
    from edgedyno.controller.lab.language import ENGLISH, LANGUAGES

    if language is None:
        system = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
        return next((one for one in LANGUAGES if system.lower().startswith(one)), ENGLISH)
    if language not in LANGUAGES:
        raise ConfigError(
            f"--language: found {language!r}, expected one of {', '.join(LANGUAGES)}", code="language"
        )
    return language


def _page_of_job(job: str, url: str, language: str, *, images: bool = True) -> str:
    with Controller(url) as controller:
        return controller.text(f"/jobs/{job}/report?language={language}&images={'yes' if images else 'no'}")


def _page_of_folders(folders: Sequence[Path], language: str, *, images: bool = True) -> str:
    from edgedyno.cli.judged import groups_across, read_of, resolved_of
    from edgedyno.controller.lab.report import judge_and_render

    jobs = [(read_results(folder), resolved_of(folder)) for folder in folders]
    return judge_and_render(
        jobs, read=read_of(folders), language=language, images=images, groups=groups_across
    )


def decode_verdicts(data: object) -> list[Verdict]:
    """Return verdicts from decoded JSON."""
    from edgedyno.controller.lab.verdict import Verdict

    return msgspec.convert(data, list[Verdict])


def decode_groups(data: object) -> list[GroupVerdict]:
    """Return verdicts over several boards from decoded JSON."""
    from edgedyno.controller.lab.verdict import GroupVerdict

    return msgspec.convert(data, list[GroupVerdict])
