"""`edgedyno jobs`: submit, list, show, watch, cancel, pause, resume, retry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_table, say
from edgedyno.cli.places import cache_folder
from edgedyno.cli.progress import ExecutionProgress
from edgedyno.cli.rollout import note, places, print_rollout, short_note
from edgedyno.cli.verdict import decode_groups, decode_verdicts, exit_code, print_verdicts
from edgedyno.core.errors import ConfigError
from edgedyno.core.history import ExecutionView
from edgedyno.core.messages import TERMINAL_STATES, ExecutionRecord
from edgedyno.core.rollout import Cron

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.verdict import Verdict
    from edgedyno.core.manifest import ResolvedJob

POLL_SECONDS = 0.5
PART_FAILED = 4
ENDED = frozenset({"succeeded", "failed", "canceled"})


def submit(path: Path, *, url: str, wait: bool, as_json: bool) -> int:
    """Resolve a job file, upload what is missing, submit it; with `wait` follow it to its verdict."""
    with Controller(url) as controller:
        answer, resolved = submit_file(controller, path)
    if not wait or isinstance(resolved.spec.schedule, Cron):
        if as_json:
            print_json(answer)
        else:
            print(answer["job"])  # noqa: T201 - the id alone, for scripts
            say(_submitted(answer, resolved))
        return 0
    return watch([answer["job"]], url=url, as_json=as_json)


def _submitted(answer: dict[str, Any], resolved: ResolvedJob) -> str:
    job, boards = answer["job"], ", ".join(answer["boards"]) or "no board yet"
    if isinstance(resolved.spec.schedule, Cron):
        return f"a series of runs on {boards}; see when: edgedyno jobs show {job}"
    return f"queued for {boards}; follow it: edgedyno jobs watch {job}"


def submit_file(controller: Controller, path: Path) -> tuple[dict[str, Any], ResolvedJob]:
    """Submit the job in a file; return its id and boards, and what was submitted."""
    from edgedyno.cli.intake import resolve_aloud
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.controller.lab.resolve import load_job
    from edgedyno.controller.rollout.check import check_spec

    store = ContentStore(cache_folder() / "store")
    spec = load_job(path)
    check_spec(spec)
    resolved = resolve_aloud(spec, base=path.parent, store=store)
    files = [resolved.source, *resolved.calibration, *(image.file for image in resolved.images)]
    files += [each.file for each in resolved.known]
    files += [variant.file for variant in resolved.prebuilt if variant.file]
    if resolved.annotations:
        files.append(resolved.annotations)
    for sha256, size_bytes in controller.upload({file.sha256: store.path(file.sha256) for file in files}):
        say(f"uploaded {sha256[:12]} ({size_bytes} bytes)") if size_bytes > 10_000_000 else None  # noqa: PLR2004
    return controller.submit(resolved), resolved


def list_jobs(*, url: str, as_json: bool) -> None:
    """Print all jobs."""
    with Controller(url) as controller:
        jobs = controller.call("GET", "/jobs")["jobs"]
    if as_json:
        print_json(jobs)
        return
    rows = [
        [
            job["job"],
            job["state"],
            job.get("priority", 0),
            _counts(job),
            _retries(job),
            job["created_at"],
            short_note(job),
        ]
        for job in jobs
    ]
    columns = ("job", "state", ">priority", "executions", ">retries", "created", "rollout")
    print_table("", columns, rows)


def _counts(job: dict[str, Any]) -> str:
    states = [record.state for record in _executions(job)]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _retries(job: dict[str, Any]) -> int:
    return sum(record.attempt - 1 for record in _executions(job))


def show(job: str, *, url: str, as_json: bool) -> None:
    """Print one job with its executions."""
    with Controller(url) as controller:
        found = controller.call("GET", f"/jobs/{job}")
    if as_json:
        print_json(found)
        return
    print_table(
        "",
        ("job", "state", ">priority", "created", "failure"),
        [[found["job"], found["state"], found.get("priority", 0), found["created_at"], _why(found)]],
    )
    print_rollout(found)
    views, place = _executions(found), places(found)
    columns = ("board", ">wave", "state", ">attempt", "next try", ">late", "reason or what it waits for")
    rows = [
        [
            view.board,
            place.get(view.board, (None, None))[0],
            _state(view),
            view.attempt,
            _to_come(view),
            view.late_results or None,
            view.reason or place.get(view.board, (None, None))[1],
        ]
        for view in views
    ]
    print_table("", columns, rows)
    earlier = [
        [view.board, one.attempt, one.state, one.failure_class, one.by, one.reason]
        for view in views
        for one in view.earlier
    ]
    if earlier:
        before = ("board", ">attempt", "ended as", "class", "tried again by", "reason")
        print_table("earlier attempts", before, earlier)


def _to_come(view: ExecutionView) -> str | None:
    """Tell when a queued attempt begins, or which failures of this one would be followed by another."""
    if view.retry_in_seconds is not None:
        return f"in {view.retry_in_seconds:.0f} s"
    if view.state in TERMINAL_STATES:
        return None
    left = [f"{count} of {kind}" for kind, count in view.retries_left.items() if count]
    return ", ".join(left) or "none left"


def act(job: str, action: str, *, url: str, as_json: bool) -> None:
    """Cancel, pause, resume or retry a job."""
    with Controller(url) as controller:
        found = controller.call("POST", f"/jobs/{job}/{action}")
    if as_json:
        print_json(found)
    else:
        say(f"{job}: {action} requested")


def watch(jobs: list[str], *, url: str, as_json: bool) -> int:
    """Follow jobs until they end, print results and verdicts; return the exit code for all of them."""
    with Controller(url) as controller:
        for job in jobs:
            _check_not_series(controller, job)
        found = follow(controller, jobs)
        codes = [_conclude(controller, job, as_json=as_json) for job in found]
    return max(codes)


def _check_not_series(controller: Controller, job: str) -> None:
    found = controller.call("GET", f"/jobs/{job}")
    if found["state"] == "scheduled":
        runs = found["rollout"].get("runs") or ["none yet"]
        raise ConfigError(
            f"{job} is a series, which has no end to watch; its runs are jobs of their own: {', '.join(runs[:3])}",
            code="job.series",
        )


def follow(controller: Controller, jobs: list[str]) -> list[dict[str, Any]]:
    """Show progress until every job has ended; return their final records."""
    with ExecutionProgress() as progress:
        while True:
            found = [controller.call("GET", f"/jobs/{job}") for job in jobs]
            for job in found:
                _show_progress(progress, job)
            if all(job["state"] in ENDED for job in found):
                return found
            time.sleep(POLL_SECONDS)


def _show_progress(progress: ExecutionProgress, job: dict[str, Any]) -> None:
    executions = _executions(job)
    rollout = note(job)
    if rollout and job["state"] not in ENDED:
        progress.say(job["job"], rollout)
    elif not executions or job["state"] == "building":
        progress.say(job["job"], "building variants" if job["state"] == "building" else job["state"])
    for record in executions:
        if record.progress and record.state == "IN_PROGRESS":
            progress.show(record.execution, record.progress)
        elif job["state"] != "building":
            progress.say(record.execution, _state(record))


def _conclude(controller: Controller, job: dict[str, Any], *, as_json: bool) -> int:
    results = controller.results(job=job["job"])
    told = controller.call("GET", f"/jobs/{job['job']}/verdict")
    verdicts, groups = decode_verdicts(told["verdicts"]), decode_groups(told["groups"])
    if as_json:
        print_json({"job": job, "results": results, "verdicts": verdicts, "groups": groups})
    else:
        print_verdicts(verdicts, groups)
        for record in _executions(job):
            if record.state != "SUCCEEDED":
                say(f"{record.board}: {_state(record)}: {record.reason or 'no reason given'}")
        if _why(job):
            say(f"{job['job']} failed: {_why(job)}")
    return result_code(job, verdicts)


def result_code(job: dict[str, Any], verdicts: list[Verdict]) -> int:
    """Return the exit code of an ended job: 4 when some boards failed, 1 when it or its verdict failed."""
    states = [record.state for record in _executions(job)]
    failed = sum(state in TERMINAL_STATES and state != "SUCCEEDED" for state in states)
    if failed and failed < len(states):
        return PART_FAILED
    return 1 if failed or job["state"] != "succeeded" or not verdicts else exit_code(verdicts)


def _executions(job: dict[str, Any]) -> list[ExecutionView]:
    return msgspec.convert(job["executions"], list[ExecutionView])


def _state(record: ExecutionRecord) -> str:
    phase = f" ({record.phase})" if record.phase and record.state == "IN_PROGRESS" else ""
    return f"{record.state}{phase}{', stalled' if record.stalled else ''}"


def _why(job: dict[str, Any]) -> str | None:
    failure = job.get("failure")
    return failure["text"] if failure else None
