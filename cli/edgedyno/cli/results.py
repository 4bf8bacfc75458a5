"""`edgedyno results`: list, show, export."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_results, print_table, say
from edgedyno.cli.places import read_results
from edgedyno.cli.profiles import read_from_folder, show_profiles
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError
from edgedyno.core.stages import END_TO_END, end_to_end_seconds
from edgedyno.core.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.cli.client import Flagged
    from edgedyno.core.result import Result


def list_results(*, job: str | None, board: str | None, url: str, as_json: bool) -> None:
    """Print results in a table."""
    with Controller(url) as controller:
        results = controller.results(job=job, board=board)
    if as_json:
        print_json(results)
        return
    print_results(results)
    if not results:
        say("no results yet")


_FLAGGED = ("flag", "counts", "board", ">attempt", "trial", "runtime", "precision", ">threads", ">p50")


def list_flagged(*, job: str | None, board: str | None, url: str, as_json: bool) -> None:
    """Print the results of a job that are not simply the one of their trial, with what they are instead."""
    if job is None:
        raise ConfigError("--flagged: found no --job, expected the job to look into", code="results.job")
    with Controller(url) as controller:
        found = [one for one in controller.flagged(job) if board in (None, one.record.board)]
    if as_json:
        print_json(found)
        return
    print_table("", _FLAGGED, [_flagged_row(one) for one in found])
    if not found:
        say(f"no result of {job} came late, again, or before a newer attempt's")


def _flagged_row(one: Flagged) -> list[object]:
    record = one.record
    latency = record.latency_seconds
    return [
        one.flag,
        "yes" if one.counted else "no",
        record.board,
        record.attempt,
        record.trial[:12],
        record.runtime,
        record.precision,
        record.threads,
        format_seconds(latency.p50) if latency else None,
    ]


def show(
    trial: str, *, job: str | None, url: str, as_json: bool, profile: bool = False, top: int = 20
) -> None:
    """Print every field of one trial's result, or its profile by operator; `job` may be a folder of a run."""
    folder = Path(job) if job and Path(job).is_dir() else None
    if folder is not None:
        found = _matching(read_results(folder), trial)
        _show(found, read=read_from_folder(folder), as_json=as_json, profile=profile, top=top)
        return
    with Controller(url) as controller:
        found = _matching(controller.results(job=job), trial)
        _show(found, read=controller.artifact, as_json=as_json, profile=profile, top=top)


def _matching(results: list[Result], trial: str) -> list[Result]:
    found = [result for result in results if result.trial.startswith(trial)]
    if not found:
        hint = nearest(trial, [result.trial for result in results])
        raise ConfigError(
            f"no result has the trial id {trial!r}{hint}; `edgedyno results list --json` has them all"
        )
    return found


def _show(
    found: list[Result], *, read: Callable[[str], bytes], as_json: bool, profile: bool, top: int
) -> None:
    if profile:
        show_profiles(found, read=read, top=top, as_json=as_json)
        return
    if as_json:
        print_json(found)
        return
    for result in found:
        print_table(result.trial, ("", ""), [*flatten(result).items(), *_sums(result)])


def _sums(result: Result) -> list[tuple[str, object]]:
    """Return what is computed from several fields, under a name that says so."""
    seconds = end_to_end_seconds(result)
    return [] if seconds is None else [(END_TO_END, format_seconds(seconds))]


def export(*, job: str | None, board: str | None, form: str, url: str) -> None:
    """Write results to stdout as JSON lines or CSV; nested fields become dotted columns."""
    if form not in ("jsonl", "csv"):
        raise ConfigError(
            f"--output: found {form!r}, expected 'jsonl' or 'csv'{nearest(form, ('jsonl', 'csv'))}"
        )
    with Controller(url) as controller:
        results = controller.results(job=job, board=board)
    if form == "jsonl":
        for result in results:
            sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        return
    rows = [flatten(result) for result in results]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(sys.stdout, columns)
    writer.writeheader()
    writer.writerows(rows)


def flatten(result: Result) -> dict[str, object]:
    """Return a result's fields with dotted names, for tables and CSV."""
    flat: dict[str, object] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(f"{prefix}.{key}" if prefix else key, item)
        else:
            flat[prefix] = " ".join(map(str, value)) if isinstance(value, list) else value

    walk("", msgspec.to_builtins(result))
    return flat
