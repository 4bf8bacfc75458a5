"""Hurt a fleet, let it come to rest, and take stock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from tests.chaos.fleet import account as stock
from tests.chaos.fleet.account import Account
from tests.chaos.fleet.faults import Faults, not_done, weights_here
from tests.chaos.fleet.fleet import Fleet, means_here
from tests.chaos.fleet.operator import Operator
from tests.chaos.fleet.processes import resident_bytes
from tests.chaos.fleet.schedule import plan
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_SECONDS = 0.1
# Mosquitto, killed and started again on its kept state, counts a few messages that nobody waits for any more.
FORGOTTEN_MESSAGES = 20


class Order(Struct, frozen=True):
    """What is to be done to one fleet."""

    faults: int
    seed: int
    boards: int = 5
    replicas: bool = False
    """Two controllers on one PostgreSQL instead of one on SQLite."""
    mean_wait_seconds: float = 0.7
    """Between two faults."""
    only: frozenset[str] | None = None
    """Kinds of faults; None is every kind."""
    variant: str = ""
    """What is broken on purpose."""
    open_jobs: int = 3
    """How many the operator keeps open."""
    settle_seconds: float = 300.0


def hurt(folder: Path, order: Order, *, tell: Callable[[str], None] = lambda _: None) -> Account:
    """Run a fleet under random faults, let it come to rest, and take stock."""
    began = time.monotonic()
    account = Account()
    fleet = Fleet(
        folder, boards=order.boards, seed=order.seed, replicas=order.replicas,
        means=means_here(folder), variant=order.variant,
    )  # fmt: skip
    try:
        for line in not_done(fleet):
            tell(line + "\n")
        fleet.start_all()
        before = _memory(fleet)
        operator = Operator(fleet, order.seed, open_jobs=order.open_jobs)
        operator.start()
        wait_until(lambda: _is_busy(fleet), seconds=90, what=f"an execution in progress, see {folder}")
        faults = Faults(fleet)
        _do_all(faults, order, account, tell)
        operator.stop()
        account.operator = operator.did + fleet.refusals
        faults.end()
        account.stuck += _come_to_rest(fleet, order.settle_seconds, tell)
        if not account.stuck:
            account.stuck += _still_works(fleet, operator, order.settle_seconds, tell)
        account.memory = {
            f"{folder.name} {name}": (before.get(name, end), end) for name, end in _memory(fleet).items()
        }
    finally:
        _stop(fleet, account)
    account.seconds = time.monotonic() - began
    return account


def _is_busy(fleet: Fleet) -> bool:
    jobs = fleet.get("/jobs")
    states = [execution["state"] for job in (jobs or {"jobs": []})["jobs"] for execution in job["executions"]]
    return "IN_PROGRESS" in states


def _do_all(faults: Faults, order: Order, account: Account, tell: Callable[[str], None]) -> None:
    weights = weights_here(faults.fleet, set(order.only) if order.only else None)
    planned = plan(order.seed, weights, order.boards, order.mean_wait_seconds)
    began = time.monotonic()
    with (faults.fleet.folder / "faults.jsonl").open("wb") as log:
        while account.faults.total() < order.faults:
            fault = next(planned)
            until = time.monotonic() + fault.wait_seconds
            while (now := time.monotonic()) < until:
                faults.settle(now)
                time.sleep(min(LOOK_SECONDS, until - now))
            done = faults.begin(fault)
            (account.faults if done else account.missed)[fault.kind] += 1
            line = {"at": round(time.time(), 3), "done": done, **msgspec.to_builtins(fault)}
            log.write(msgspec.json.encode(line) + b"\n")
            tell(f"{account.faults.total()} of {order.faults} faults, {now - began:.0f} s: {fault.kind}")


def _come_to_rest(fleet: Fleet, seconds: float, tell: Callable[[str], None]) -> list[str]:
    """Wait until nothing is under way any more; return what still is when the time is up."""
    limit = time.monotonic() + seconds
    found = _under_way(fleet)
    while found and time.monotonic() < limit:
        tell(f"comes to rest: {', '.join(found)[:100]}")
        time.sleep(1.0)
        found = _under_way(fleet)
    return found


def _still_works(fleet: Fleet, operator: Operator, seconds: float, tell: Callable[[str], None]) -> list[str]:
    """Run one more job, which every board has to do; return what did not."""
    job = operator.submit_last()
    found = _come_to_rest(fleet, seconds, tell)
    executions = (fleet.get(f"/jobs/{job}") or {"executions": []})["executions"]
    failed = [
        f"{each['execution']}: {each['state']} after all faults"
        for each in executions
        if each["state"] != "SUCCEEDED"
    ]
    return found + (failed if executions else [f"{job}: no controller answers"])


def _under_way(fleet: Fleet) -> list[str]:
    boards, jobs = fleet.get("/boards"), fleet.get("/jobs")
    if boards is None or jobs is None:
        return ["no controller answers"]
    found = [
        f"{job['job']}: {job['state']}" for job in jobs["jobs"] if job["state"] in {"building", "active"}
    ]
    found += [f"{board['board']} is not shown online" for board in boards["boards"] if not board["online"]]
    for board in fleet.boards:
        found += [f"{board.name}: {what}" for what in stock.unfinished(board.state)]
        state = fleet.observer.states.get(board.name)
        if state is None or not state.online:
            found.append(f"{board.name}: the broker keeps it as offline")
    counts = fleet.observer.counts
    waiting = counts.get("stored", 0) - counts.get("retained", 0)
    if waiting > FORGOTTEN_MESSAGES:
        found.append(f"the broker keeps {waiting} messages for somebody")
    return found


def _memory(fleet: Fleet) -> dict[str, int]:
    processes = [*fleet.controllers, *(board.agent for board in fleet.boards)]
    return {process.name: resident_bytes(process.pid) for process in processes}


def _stop(fleet: Fleet, account: Account) -> None:
    """Stop the fleet and look at what is left; the order matters: disks go last."""
    files = [board.state / "agent.db" for board in fleet.boards]
    files += [] if fleet.postgres else [fleet.data / "controller.sqlite3"]
    account.stuck += [what for file in files if file.exists() for what in stock.open_transaction(file)]
    ended = len(fleet.ended_by_themselves())
    fleet.stop_processes()
    account.stuck += fleet.ended_by_themselves()[ended:]  # had to be killed
    account.ends = fleet.ended_by_themselves()[:ended]
    account.left_behind += fleet.left_behind()
    account.left_behind += stock.left_files(fleet.folder, fleet.folder / "state", fleet.data)
    account.left_behind += fleet.temporary_files()
    stock.check_store(account, fleet.database_url, [board.ledger for board in fleet.boards])
    fleet.take_away()
