"""`edgedyno up`: broker, controller and one agent on loopback; with --demo the sample jobs as well."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from edgedyno.cli.broker import broker_command
from edgedyno.cli.client import Controller
from edgedyno.cli.jobs import follow, submit_file
from edgedyno.cli.output import say
from edgedyno.cli.places import known_environments, write_atomic, write_results
from edgedyno.cli.processes import Children, free_port, is_listening
from edgedyno.cli.verdict import decode_verdicts, print_verdicts
from edgedyno.core.errors import EdgedynoError, RetryableError

if TYPE_CHECKING:
    from edgedyno.controller.lab.report import Section
    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.result import Result

BOARD = "demo"
DEMO_JOBS = ("fastestdet", "yolox_nano")


def bring_up(*, demo: bool, keep: bool, data: Path | None, out: Path | None, port: int) -> int:
    """Bring everything up; return when the demo is over, or when asked to stop."""
    folder = data or Path(tempfile.mkdtemp(prefix="edgedyno-"))
    try:
        with Children(folder / "logs") as children:
            url = _start(children, folder, port or free_port())
            code = run_demo(url, out or Path("demo-out")) if demo else 0
            if keep or not demo:
                say("Ctrl-C stops everything.")
                _wait_for_stop(children)
            return code
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _start(children: Children, folder: Path, port: int) -> str:
    broker_port = free_port()
    name, command = broker_command(folder, broker_port)
    children.start("broker", command)
    children.wait_for("the broker", lambda: is_listening(broker_port), seconds=15)
    me = [sys.executable, "-m", "edgedyno.cli.main"]
    config = folder / "controller.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "data_dir": str(folder / "controller"),
                "broker_port": broker_port,
                "listen_port": port,
            }
        )
    )
    children.start("controller", [*me, "controller", "run", "--config", str(config)])
    url = f"http://127.0.0.1:{port}"
    children.wait_for("the controller", lambda: _healthy(url), seconds=60)
    agent = folder / "agent.yaml"
    agent.write_text(
        yaml.safe_dump({
            "board": BOARD,
            "state_dir": str(folder / "agent"),
            "broker": {"host": "127.0.0.1", "port": broker_port},
            "runtimes": msgspec.to_builtins(known_environments()),
        })
    )  # fmt: skip
    children.start("agent", [*me, "agent", "run", "--config", str(agent)])
    children.wait_for("the agent", lambda: _online(url), seconds=60)
    say(f"broker      mqtt://127.0.0.1:{broker_port} ({name})")
    say(f"controller  {url}  (pages; API under /api/v1, Prometheus under /metrics)")
    say(f"board       {BOARD}, one agent on this machine")
    say(f"logs        {folder / 'logs'}\n")
    return url


def _healthy(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/healthz", timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _online(url: str) -> bool:
    with Controller(url) as controller:
        return any(board["online"] for board in controller.call("GET", "/boards")["boards"])


def run_demo(url: str, out: Path) -> int:
    """Submit the sample jobs, wait, print their verdicts, and leave results and report in `out`."""
    from edgedyno.controller.lab.report import render_report

    with Controller(url) as controller:
        submitted = [submit_file(controller, path) for path in sample_jobs()]
        found = follow(controller, [answer["job"] for answer, _ in submitted])
        sections = [
            _section(controller, job, resolved) for job, (_, resolved) in zip(found, submitted, strict=True)
        ]
        page = render_report(sections, read=controller.artifact)
    write_atomic(out / "report.html", page.encode())
    write_results(out, [result for section in sections for result in section.results])
    for section in sections:
        print_verdicts(section.verdicts)
        print()  # noqa: T201 - an empty line between jobs
    say(f"results     {out / 'results.jsonl'}")
    say(f"report      {out / 'report.html'}")
    # The demo shows the road: a verdict that cannot tell, on a busy machine, is one of its results.
    return int(any(job["state"] != "succeeded" for job in found))


def sample_jobs() -> list[Path]:
    """Return the job files of the demo; the other packaged ones take runtimes that a fresh machine lacks."""
    folder = resources.files("edgedyno.profiles") / "jobs"
    return [Path(str(folder / f"{name}.yaml")) for name in DEMO_JOBS]


def _section(controller: Controller, job: dict[str, Any], resolved: ResolvedJob) -> Section:
    from edgedyno.controller.lab.report import Section

    results: list[Result] = controller.results(job=job["job"])
    verdicts = decode_verdicts(controller.call("GET", f"/jobs/{job['job']}/verdict")["verdicts"])
    return Section(verdicts, results, resolved)


def _wait_for_stop(children: Children) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        while not stop.wait(1.0):
            children.raise_if_dead()
    except KeyboardInterrupt:
        say("stopping")
    except EdgedynoError as error:
        raise RetryableError(str(error)) from error
