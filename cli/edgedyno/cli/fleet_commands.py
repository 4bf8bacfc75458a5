"""The commands that ask a controller: `jobs`, `boards` and `results`. Each imports its work when it runs."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from edgedyno.cli.options import DEFAULT_URL, Json, Url, group

jobs = group("Submit jobs and follow them.")
boards = group("See and label the boards of the fleet.")
groups = group("Name groups of boards, which jobs can choose.")
results = group("List, look into and export results.")


@jobs.command("submit")
def jobs_submit(
    job: Annotated[Path, typer.Argument(help="Job file.", metavar="JOB.yaml")],
    url: Url = DEFAULT_URL,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job and print the verdict.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Only tell which boards would get it, in which waves.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Submit a job; its model and images are uploaded where they are missing."""
    if dry:
        from edgedyno.cli.rollout import dry_run

        dry_run(job, url=url, as_json=as_json)
        return
    from edgedyno.cli.jobs import submit

    raise typer.Exit(submit(job, url=url, wait=wait, as_json=as_json))


@jobs.command("list")
def jobs_list(url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """List all jobs, newest first."""
    from edgedyno.cli.jobs import list_jobs

    list_jobs(url=url, as_json=as_json)


@jobs.command("show")
def jobs_show(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Show one job and its executions."""
    from edgedyno.cli.jobs import show

    show(job, url=url, as_json=as_json)


@jobs.command("watch")
def jobs_watch(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Follow a job with progress bars until it ends."""
    from edgedyno.cli.jobs import watch

    raise typer.Exit(watch([job], url=url, as_json=as_json))


@jobs.command("cancel")
def jobs_cancel(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Cancel a job on every board."""
    from edgedyno.cli.jobs import act

    act(job, "cancel", url=url, as_json=as_json)


@jobs.command("pause")
def jobs_pause(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Let nothing more of a job, or no more runs of a series, start; what runs goes on."""
    from edgedyno.cli.jobs import act

    act(job, "pause", url=url, as_json=as_json)


@jobs.command("resume")
def jobs_resume(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Let a paused job or series go on; after a wave, with the next one."""
    from edgedyno.cli.jobs import act

    act(job, "resume", url=url, as_json=as_json)


@jobs.command("retry")
def jobs_retry(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Run the executions of a job that failed or timed out again."""
    from edgedyno.cli.jobs import act

    act(job, "retry", url=url, as_json=as_json)


@boards.command("list")
def boards_list(url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """List the boards, those that are gone with when they were last seen."""
    from edgedyno.cli.boards import list_boards

    list_boards(url=url, as_json=as_json)


@boards.command("show")
def boards_show(board: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Show what was found on a board."""
    from edgedyno.cli.boards import show

    show(board, url=url, as_json=as_json)


@boards.command("compare")
def boards_compare(
    job: Annotated[str | None, typer.Argument(help="Compare on this job's trials only.")] = None,
    url: Url = DEFAULT_URL,
    *,
    as_json: Json = False,
) -> None:
    """Name boards that are slower, hotter or hungrier than others of their type, and what differs there."""
    from edgedyno.cli.siblings import compare_boards

    compare_boards(job, url=url, as_json=as_json)


@boards.command("label")
def boards_label(
    board: str,
    labels: Annotated[
        list[str], typer.Argument(help="Labels to set; KEY= removes one.", metavar="KEY=VALUE...")
    ],
    url: Url = DEFAULT_URL,
    *,
    as_json: Json = False,
) -> None:
    """Set or remove labels, by which jobs choose boards."""
    from edgedyno.cli.boards import label

    label(board, labels, url=url, as_json=as_json)


@boards.command("drain")
def boards_drain(
    board: str,
    url: Url = DEFAULT_URL,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Give the board new jobs again.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing runs there any more.")] = False,
    as_json: Json = False,
) -> None:
    """Give a board no new jobs; what runs there ends as usual."""
    from edgedyno.cli.boards import drain

    drain(board, drained=not undo, url=url, as_json=as_json, wait=wait and not undo)


@boards.command("remove")
def boards_remove(
    board: str,
    url: Url = DEFAULT_URL,
    *,
    force: Annotated[bool, typer.Option("--force", help="Even while the board is online.")] = False,
    as_json: Json = False,
) -> None:
    """Take a board out of the fleet: what it has to do ends as REMOVED, what it measured stays."""
    from edgedyno.cli.boards import remove

    remove(board, force=force, url=url, as_json=as_json)


@groups.command("set")
def groups_set(
    name: str,
    boards: Annotated[list[str] | None, typer.Argument(help="Boards by id.", metavar="BOARD...")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="Boards with this label; all given must match.", metavar="KEY=VALUE[,VALUE]"
        ),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--except", help="Not this board.", metavar="BOARD")
    ] = None,
    without_label: Annotated[
        list[str] | None,
        typer.Option("--except-label", help="Not boards with this label.", metavar="KEY=VALUE[,VALUE]"),
    ] = None,
    url: Url = DEFAULT_URL,
    *,
    everyone: Annotated[bool, typer.Option("--all", help="Every board.")] = False,
    as_json: Json = False,
) -> None:
    """Make a group, or change what it means; jobs take what it means when they start."""
    from edgedyno.cli.groups import selector_of, set_group

    selector = selector_of(boards or [], label or [], without or [], without_label or [], everyone=everyone)
    set_group(name, selector, url=url, as_json=as_json)


@groups.command("list")
def groups_list(url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """List the groups and the boards that they mean now."""
    from edgedyno.cli.groups import list_groups

    list_groups(url=url, as_json=as_json)


@groups.command("show")
def groups_show(name: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Show one group."""
    from edgedyno.cli.groups import show_group

    show_group(name, url=url, as_json=as_json)


@groups.command("remove")
def groups_remove(name: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Remove a group that no series and no continuous job needs."""
    from edgedyno.cli.groups import remove_group

    remove_group(name, url=url, as_json=as_json)


JobFilter = Annotated[str | None, typer.Option("--job", help="Only results of this job.")]
BoardFilter = Annotated[str | None, typer.Option("--board", help="Only results of this board.")]


@results.command("list")
def results_list(
    job: JobFilter = None,
    board: BoardFilter = None,
    url: Url = DEFAULT_URL,
    *,
    flagged: Annotated[
        bool,
        typer.Option("--flagged", help="Only those of a job that came late, again, or were superseded."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List results in a table."""
    from edgedyno.cli.results import list_flagged, list_results

    (list_flagged if flagged else list_results)(job=job, board=board, url=url, as_json=as_json)


@results.command("show")
def results_show(
    trial: str,
    job: Annotated[
        str | None, typer.Option("--job", help="Only results of this job, or of a folder of `edgedyno run`.")
    ] = None,
    url: Url = DEFAULT_URL,
    *,
    profile: Annotated[
        bool, typer.Option("--profile", help="How long each operator takes, where the job asked for that.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="With --profile: so many operators.")] = 20,
    as_json: Json = False,
) -> None:
    """Show everything about one trial, by its id or the beginning of it."""
    from edgedyno.cli.results import show

    show(trial, job=job, url=url, as_json=as_json, profile=profile, top=top)


@results.command("export")
def results_export(
    job: JobFilter = None,
    board: BoardFilter = None,
    form: Annotated[str, typer.Option("--output", help="jsonl or csv.", metavar="FORMAT")] = "jsonl",
    url: Url = DEFAULT_URL,
) -> None:
    """Write results to stdout, one line each."""
    from edgedyno.cli.results import export

    export(job=job, board=board, form=form, url=url)
