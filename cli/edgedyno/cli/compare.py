"""`edgedyno compare`: two runs, trial by trial; they were not interleaved, and the words say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_table, say, stdout
from edgedyno.cli.places import read_results
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from edgedyno.controller.lab.agreement import Agreement, Run, TrialAgreement


def compare_results(first: str, second: str, *, url: str, as_json: bool) -> int:
    """Print whether two runs agree; return 1 where they do not, else 0."""
    from edgedyno.controller.lab.agreement import compare_runs

    agreement = compare_runs(_load(first, url), _load(second, url))
    if not agreement.trials:
        raise ConfigError(f"{first} and {second} have no trial in common", code="compare.nothing")
    if as_json:
        print_json(agreement)
    else:
        _print(agreement)
    return 0 if agreement.agrees else 1


def _print(agreement: Agreement) -> None:
    columns = ("trial", ">first", ">second", ">ratio", "interval", "medians", "status")
    print_table("", columns, [_row(trial) for trial in agreement.trials])
    stdout().print()
    for verdict in agreement.verdicts:
        stdout().print(f"verdict on {verdict.model}: {verdict.text}", markup=False, soft_wrap=True)
    if agreement.left_out:
        say(f"{agreement.left_out} trials are in one of the runs only")
    if not agreement.verdicts:
        say("there are no two verdicts to compare")
    say(
        "All intervals of ratios hold together at 95 %. The two runs were not interleaved: a board that drifted "
        "between them shows here as a difference."
    )


def _row(trial: TrialAgreement) -> list[object]:
    interval = None if trial.low is None or trial.high is None else f"{trial.low:.3f} to {trial.high:.3f}"
    ratio = None if trial.ratio is None else f"{trial.ratio:.3f}"
    return [trial.label, trial.first, trial.second, ratio, interval, trial.text, _status(trial)]


def _status(trial: TrialAgreement) -> str | None:
    if trial.first_status == trial.second_status:
        return trial.first_status
    return f"{trial.first_status or 'none'}, then {trial.second_status or 'none'}"


def _load(place: str, url: str) -> Run:
    from edgedyno.cli.judged import verdicts_of_folder, verdicts_of_job

    """Read a folder that `edgedyno run` wrote, its `results.jsonl`, or a job of the controller."""
    from edgedyno.controller.lab.agreement import Run

    path = Path(place)
    if path.exists():
        folder = path if path.is_dir() else path.parent
        return Run(
            read_results(path), verdicts_of_folder(folder) if (folder / "verdict.json").exists() else []
        )
    with Controller(url) as controller:
        return Run(controller.results(job=place), verdicts_of_job(place, url))
