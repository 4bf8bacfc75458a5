"""What the operator reads of waves, windows, series and of where a job would go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from pathlib import Path


def dry_run(path: Path, *, url: str, as_json: bool) -> None:
    """Print where the job in a file would go; nothing is uploaded or queued."""
    import msgspec

    from edgedyno.controller.lab.resolve import load_job

    spec = load_job(path)
    with Controller(url) as controller:
        plan = controller.call(
            "POST",
            "/jobs/plan",
            content=msgspec.json.encode(spec),
            headers={"Content-Type": "application/json"},
        )
    if as_json:
        print_json(plan)
        return
    rows = [
        [board, f"wave {number}", _now(board, plan)]
        for number, wave in enumerate(plan["waves"], 1)
        for board in wave
    ]
    rows += [[board, "not", reason] for board, reason in plan["left_out"].items()]
    print_table("", ("board", "gets it", "note"), rows)
    for line in _plan_lines(plan):
        say(line)


def _now(board: str, plan: dict[str, Any]) -> str:
    notes = ["not online now"] if board in plan["offline"] else []
    if board in plan.get("busy", {}):
        notes.append(plan["busy"][board]["text"])
    return ", ".join(notes)


def _plan_lines(plan: dict[str, Any]) -> list[str]:
    lines = []
    if plan.get("max_boards"):
        lines.append(f"at most {plan['max_boards']} boards at once")
    if plan.get("waits"):
        lines.append(f"would wait now: {hold_text(plan['waits'])}")
    if plan.get("continuous"):
        lines.append("boards that join or match later get it too")
    if plan.get("times"):
        lines.append(f"would run at {', '.join(plan['times'])}, and so on")
    return lines


def hold_text(hold: dict[str, Any]) -> str:
    """Say what something waits for, and until when."""
    until = f", until {hold['until']}" if hold.get("until") else ""
    return f"{hold['text']}{until}"


def short_note(job: dict[str, Any]) -> str | None:
    """Say in a word or two how a job's rollout stands, for a table."""
    found = job.get("rollout")
    if not found:
        return None
    if found["status"] in ("paused", "aborted"):
        return str(found["status"])
    if found.get("cron"):
        return f"next {found['next_at']}"
    if found.get("waits"):
        return "waits"
    if found.get("continuous"):
        return "continuous"
    return f"wave {found['wave']} of {len(found['waves'])}" if len(found["waves"]) > 1 else None


def note(job: dict[str, Any]) -> str | None:
    """Say in a few words how a job's rollout stands; None where there is nothing to say."""
    found = job.get("rollout")
    if not found:
        return None
    if found.get("cron"):
        words = [f"cron {found['cron']} {found['timezone']}"]
        words += [f"next {found['next_at']}"] if found.get("next_at") else []
    else:
        words = [f"run of {found['series']}"] if found.get("series") else []
        if len(found["waves"]) > 1:
            words.append(f"wave {found['wave']} of {len(found['waves'])}")
        words += ["continuous"] if found.get("continuous") else []
    if found["status"] in ("paused", "aborted"):
        words.append(f"{found['status']}: {found.get('reason') or ''}")
    elif found.get("waits"):
        words.append(f"waits: {hold_text(found['waits'])}")
    elif found.get("cron") and found.get("reason"):
        words.append(found["reason"])
    return ", ".join(words) or None


def print_rollout(job: dict[str, Any]) -> None:
    """Print a job's waves, or a series' runs, and what is waited for."""
    found = job.get("rollout")
    text = note(job)
    if not found or not text:
        return
    say(f"{job['job']}: {text}")
    if len(found["waves"]) > 1:
        columns = ("wave", ">boards", ">queued", ">running", ">succeeded", ">failed")
        states = ("queued", "running", "succeeded", "failed")
        rows = [
            [number, sum(wave[state] for state in states), *(wave[state] for state in states)]
            for number, wave in enumerate(found["waves"], 1)
        ]
        print_table("", columns, rows)
    if found.get("runs"):
        say(f"runs, the newest first: {', '.join(found['runs'])}")


def places(job: dict[str, Any]) -> dict[str, tuple[int, str | None]]:
    """Return each board's wave and what its execution waits for."""
    found = job.get("rollout") or {}
    return {
        place["board"]: (place["wave"], hold_text(place["waits"]) if place.get("waits") else None)
        for place in found.get("boards", [])
    }
