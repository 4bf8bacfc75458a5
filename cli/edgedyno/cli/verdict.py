"""`edgedyno verdict` and `edgedyno report`: what to deploy, in words, from a job or a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, say, stdout
from edgedyno.cli.places import write_atomic
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.verdict import Verdict

LEAST_WIDTH, PLAIN_WIDTH, MOST_WIDTH = 60, 80, 140
STYLES = {"recommended": "bold green", "none meets": "bold red", "cannot tell": "bold yellow"}


def show_verdict(job: str, *, url: str, as_json: bool) -> int:
    """Print the verdicts of a job or folder; return 1 where a requirement is not met."""
    verdicts = verdicts_of_folder(Path(job)) if Path(job).is_dir() else verdicts_of_job(job, url)
    if as_json:
        print_json({"verdicts": verdicts})
    else:
        print_verdicts(verdicts)
        if not Path(job).is_dir():
            from edgedyno.cli.siblings import print_outliers

            print_outliers(job, url=url)
    return exit_code(verdicts)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 0 when every board has a deployment that meets what the job requires."""
    from edgedyno.controller.lab.verdict import meets_requirements

    return 0 if meets_requirements(list(verdicts)) else 1


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print verdicts in words, the headline in the colour of its answer."""
    from edgedyno.controller.lab.verdict import verdict_lines

    for verdict in verdicts:
        headline, *rest = verdict_lines(verdict, width=text_width())
        stdout().print()
        stdout().print(headline, style=STYLES.get(verdict.answer, "bold"), markup=False, soft_wrap=True)
        for line in rest:
            stdout().print(line, markup=False, soft_wrap=True)


def text_width() -> int:
    """Return the terminal's width within reason; 80 columns where the output goes elsewhere."""
    return min(max(stdout().width, LEAST_WIDTH), MOST_WIDTH) if stdout().is_terminal else PLAIN_WIDTH


def write_report(job: str, *, out: Path | None, url: str) -> None:
    """Fetch the report of a job into a file."""
    with Controller(url) as controller:
        page = controller.text(f"/jobs/{job}/report")
    target = out or Path(f"{job}.html")
    write_atomic(target, page.encode())
    say(f"wrote {target}")


def decode_verdicts(data: object) -> list[Verdict]:
    """Return verdicts from decoded JSON."""
    from edgedyno.controller.lab.verdict import Verdict

    return msgspec.convert(data, list[Verdict])


def verdicts_of_folder(folder: Path) -> list[Verdict]:
    """Read `verdict.json` from a results folder; raise ConfigError where it is missing or damaged."""
    path = folder / "verdict.json"
    try:
        return decode_verdicts(msgspec.json.decode(path.read_bytes()))
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: no verdict here ({error})", code="results.missing") from error


def verdicts_of_job(job: str, url: str) -> list[Verdict]:
    """Return the verdicts of a job of the controller."""
    with Controller(url) as controller:
        return decode_verdicts(controller.call("GET", f"/jobs/{job}/verdict")["verdicts"])
