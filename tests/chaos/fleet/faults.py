"""What can go wrong: each fault begins at once, if it can happen now, and is over after a while."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.chaos.fleet.fleet import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.fleet.fleet import Board, Fleet
    from tests.chaos.fleet.processes import Process
    from tests.chaos.fleet.schedule import Planned

    Undo = Callable[[], None]

RUNNER, WORKER = "injected\0runner", "worker/bootstrap.py"
CLOCK_STEPS_SECONDS = (-3600.0 * 24 * 365, -3600.0, -5.0, 5.0, 3600.0, 3600.0 * 24 * 365)
NOTHING_TO_UNDO: Undo = lambda: None  # noqa: E731 one line says it


class Kind(NamedTuple):
    """One kind of fault: how often it comes, and what it does; None where it cannot happen now."""

    weight: float
    begin: Callable[[Faults, Planned], Undo | None]
    means: str = ""
    """What of the machine it needs: cables, disks, or one of the two ways to run controllers."""


class Faults:
    """Does and undoes faults on one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._undo: list[tuple[float, Undo]] = []
        self._touched: set[str] = set()
        """What a fault lasts on: no second one of its sort begins there meanwhile."""

    def begin(self, planned: Planned) -> bool:
        """Do a fault, if it can happen now."""
        undo = KINDS[planned.kind].begin(self, planned)
        if undo is None:
            return False
        self._undo.append((time.monotonic() + planned.lasts_seconds, undo))
        return True

    def settle(self, now: float) -> None:
        """Undo what has lasted long enough by `now`."""
        for moment, undo in [pair for pair in self._undo if pair[0] <= now]:
            self._undo.remove((moment, undo))
            undo()

    def end(self) -> None:
        """Undo everything, and have everything run."""
        self.settle(float("inf"))
        for board in self.fleet.boards:
            board.mqtt.mend()
            board.http.mend()
            board.clock.step(0.0)
            board.agent.start()
        self.fleet.clock.step(0.0)
        self.fleet.broker.start()
        self.fleet.start_controllers()

    def boards(self, planned: Planned) -> list[Board]:
        """Return the boards, the planned one first."""
        every = self.fleet.boards
        return every[planned.board :] + every[: planned.board]

    def hold(self, name: str, begin: Callable[[], object], undo: Undo) -> Undo | None:
        """Begin something that lasts on `name`, unless something does already."""
        if name in self._touched:
            return None
        self._touched.add(name)
        begin()

        def end() -> None:
            self._touched.discard(name)
            undo()

        return end

    def first(self, tried: Callable[[Board], Undo | None], planned: Planned) -> Undo | None:
        """Do it to the first board that it can happen to."""
        return next((undo for board in self.boards(planned) if (undo := tried(board)) is not None), None)


# Processes


def _down(
    faults: Faults, process: Process, how: Callable[[], None], before: Undo = NOTHING_TO_UNDO
) -> Undo | None:
    if process.pid is None:
        return None

    def again() -> None:
        before()
        process.start()

    return faults.hold(process.name, how, again)


def _kill_agent(faults: Faults, planned: Planned) -> Undo | None:
    return faults.first(lambda board: _down(faults, board.agent, board.agent.kill), planned)


def _end_agent(faults: Faults, planned: Planned) -> Undo | None:
    return faults.first(lambda board: _down(faults, board.agent, board.agent.terminate), planned)


def _reboot(faults: Faults, planned: Planned) -> Undo | None:
    return faults.first(
        lambda board: _down(faults, board.agent, board.agent.kill_all, board.boot_anew), planned
    )


def _signal_below(word: str, number: int) -> Callable[[Faults, Planned], Undo | None]:
    """Send a signal to the newest of the processes that an agent has started with `word` in its command."""

    def begin(faults: Faults, planned: Planned) -> Undo | None:
        for board in faults.boards(planned):
            pids = [pid for pid in board.agent.below() if _runs(pid, word)]
            with contextlib.suppress(ProcessLookupError, IndexError):
                pid = pids[-1]
                os.kill(pid, number)
                return lambda: _continue(pid)
        return None

    return begin


def _runs(pid: int, word: str) -> bool:
    with contextlib.suppress(OSError):
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _continue(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _controller(faults: Faults, planned: Planned) -> Process:
    return random.Random(planned.draw).choice(faults.fleet.controllers)


def _kill_controller(faults: Faults, planned: Planned) -> Undo | None:
    process = _controller(faults, planned)
    return _down(faults, process, process.kill)


def _end_controller(faults: Faults, planned: Planned) -> Undo | None:
    process = _controller(faults, planned)
    return _down(faults, process, process.terminate)


def _kill_laboratory(faults: Faults, planned: Planned) -> Undo | None:
    for controller in faults.fleet.controllers:
        for pid in controller.below():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return NOTHING_TO_UNDO
    return None


def _kill_broker(faults: Faults, planned: Planned) -> Undo | None:
    broker = faults.fleet.broker
    return _down(faults, broker, broker.kill)


def _kill_broker_and_state(faults: Faults, planned: Planned) -> Undo | None:
    broker = faults.fleet.broker
    return _down(faults, broker, broker.kill, broker.lose_state)


def _kill_postgres(faults: Faults, planned: Planned) -> Undo | None:
    server = faults.fleet.postgres
    return None if server is None else faults.hold("postgres", server.kill, server.start)


def _pause(faults: Faults, process: Process) -> Undo | None:
    pid = process.pid
    if pid is None:
        return None
    return faults.hold(process.name, lambda: process.signal(signal.SIGSTOP), lambda: _continue(pid))


def _pause_agent(faults: Faults, planned: Planned) -> Undo | None:
    undo = faults.first(lambda board: _pause(faults, board.agent), planned)
    if undo is not None:  # longer than its lease
        _later(faults, LEASE_SECONDS + 2.0, undo)
        return NOTHING_TO_UNDO
    return None


def _later(faults: Faults, seconds: float, undo: Undo) -> None:
    faults._undo.append((time.monotonic() + seconds, undo))


def _pause_controller(faults: Faults, planned: Planned) -> Undo | None:
    return _pause(faults, _controller(faults, planned))


def _pause_broker(faults: Faults, planned: Planned) -> Undo | None:
    return _pause(faults, faults.fleet.broker)


def _start_stranger(faults: Faults, planned: Planned) -> Undo | None:
    stranger = faults.fleet.stranger

    def end() -> None:
        (stranger.kill if planned.draw % 2 else stranger.terminate)()

    undo = faults.hold(stranger.name, stranger.start, end)
    if undo is None:
        return None
    _later(faults, planned.lasts_seconds + 6.0, undo)  # it has to start first
    return NOTHING_TO_UNDO


# Links


def _unplug(faults: Faults, planned: Planned) -> Undo | None:
    def tried(board: Board) -> Undo | None:
        cable = board.cable
        return None if cable is None else faults.hold(cable.name, cable.pull, cable.put_back)

    return faults.first(tried, planned)


def _lose(share: float) -> Callable[[Faults, Planned], Undo | None]:
    """Lose packets: one way all of them, or some of them both ways."""

    def begin(faults: Faults, planned: Planned) -> Undo | None:
        ways: tuple[str, ...] = ("up", "down")
        if share >= 1:
            ways = (random.Random(planned.draw).choice(ways),)

        def tried(board: Board) -> Undo | None:
            cable = board.cable
            if cable is None:
                return None

            def set_all(value: float) -> None:
                for way in ways:
                    cable.lose(way, value)  # type: ignore[arg-type]

            return faults.hold(f"{cable.name} loss", lambda: set_all(share), lambda: set_all(0.0))

        return faults.first(tried, planned)

    return begin


def _cut(wire: str) -> Callable[[Faults, Planned], Undo | None]:
    def begin(faults: Faults, planned: Planned) -> Undo | None:
        def tried(board: Board) -> Undo | None:
            found = board.mqtt if wire == "mqtt" else board.http
            return faults.hold(f"{board.name} {wire}", found.cut, found.mend)

        return faults.first(tried, planned)

    return begin


def _held(faults: Faults, planned: Planned) -> Undo | None:
    def tried(board: Board) -> Undo | None:
        way = random.Random(planned.draw).choice(("up", "down"))
        return faults.hold(f"{board.name} mqtt", lambda: board.mqtt.hold(way), board.mqtt.mend)  # type: ignore[arg-type]

    return faults.first(tried, planned)


def _spoil(name: str, share: float) -> Callable[[Faults, Planned], Undo | None]:
    def begin(faults: Faults, planned: Planned) -> Undo | None:
        def tried(board: Board) -> Undo | None:
            def spoil() -> None:
                setattr(board.mqtt, name, share)

            return faults.hold(f"{board.name} mqtt", spoil, board.mqtt.mend)

        return faults.first(tried, planned)

    return begin


def _old_will(faults: Faults, planned: Planned) -> Undo | None:
    chance = random.Random(planned.draw)
    said = any(faults.fleet.observer.say_old_will(board.name, chance) for board in faults.boards(planned))
    return NOTHING_TO_UNDO if said else None


def _old_messages(faults: Faults, planned: Planned) -> Undo | None:
    chance = random.Random(planned.draw)
    said = any(faults.fleet.observer.say_again(board.name, chance) for board in faults.boards(planned))
    return NOTHING_TO_UNDO if said else None


# Disks and clocks


def _fill_board(faults: Faults, planned: Planned) -> Undo | None:
    def tried(board: Board) -> Undo | None:
        disk = board.disk
        return None if disk is None else faults.hold(f"{board.name} disk", disk.fill, disk.free)

    return faults.first(tried, planned)


def _fill_controller(faults: Faults, planned: Planned) -> Undo | None:
    disk, fleet = faults.fleet.data_disk, faults.fleet
    if disk is None:
        return None

    def free() -> None:
        content = random.Random(planned.draw).randbytes(1000)
        path = f"/artifacts/{hashlib.sha256(content).hexdigest()}"
        if fleet.call("PUT", path, seconds=2.0, content=content) is None:
            fleet.refusals["refused: file (the controller's disk is full)"] += 1
        disk.free()

    return faults.hold("controller disk", disk.fill, free)


def _step_board(faults: Faults, planned: Planned) -> Undo | None:
    seconds = random.Random(planned.draw).choice(CLOCK_STEPS_SECONDS)
    faults.boards(planned)[0].clock.step(seconds)
    return NOTHING_TO_UNDO


def _step_controller(faults: Faults, planned: Planned) -> Undo | None:
    faults.fleet.clock.step(random.Random(planned.draw).choice(CLOCK_STEPS_SECONDS))
    return NOTHING_TO_UNDO


# What stops everything comes less often, or nothing would ever be measured.
KINDS: dict[str, Kind] = {
    "agent killed": Kind(3, _kill_agent),
    "agent ended": Kind(1, _end_agent),
    "agent paused beyond its lease": Kind(1.5, _pause_agent),
    "runner killed": Kind(2, _signal_below(RUNNER, signal.SIGKILL)),
    "runner paused": Kind(1, _signal_below(RUNNER, signal.SIGSTOP)),
    "worker killed": Kind(3, _signal_below(WORKER, signal.SIGKILL)),
    "worker paused": Kind(1, _signal_below(WORKER, signal.SIGSTOP)),
    "board rebooted": Kind(1.5, _reboot),
    "controller killed": Kind(1, _kill_controller),
    "controller ended": Kind(0.4, _end_controller),
    "controller paused": Kind(0.8, _pause_controller),
    "controller's lab killed": Kind(0.8, _kill_laboratory),
    "another fleet's controller": Kind(0.4, _start_stranger),
    "PostgreSQL killed": Kind(0.8, _kill_postgres, "replicas"),
    "broker killed, state kept": Kind(0.6, _kill_broker),
    "broker killed, state lost": Kind(0.6, _kill_broker_and_state),
    "broker paused": Kind(0.5, _pause_broker),
    "link down": Kind(2.5, _unplug, "cables"),
    "20 % of packets lost": Kind(2.5, _lose(0.2), "cables"),
    "packets lost one way": Kind(2.5, _lose(1.0), "cables"),
    "connection cut": Kind(2, _cut("mqtt")),
    "messages held one way": Kind(2, _held),
    "messages lost": Kind(2.5, _spoil("loss", 0.2)),
    "messages doubled": Kind(2.5, _spoil("doubling", 0.5)),
    "messages reordered": Kind(2.5, _spoil("reordering", 0.8)),
    "files' connection cut": Kind(2, _cut("http")),
    "an old session's will": Kind(2, _old_will),
    "old messages again": Kind(2, _old_messages),
    "board's disk full": Kind(1.5, _fill_board, "disks"),
    "controller's disk full": Kind(0.5, _fill_controller, "disks one"),
    "board's clock stepped": Kind(1.5, _step_board),
    "controller's clock stepped": Kind(0.7, _step_controller),
}


def weights_here(fleet: Fleet, only: set[str] | None = None) -> dict[str, float]:
    """Return what can be done here, and how often."""
    lacks = {name for name in ("cables", "disks") if getattr(fleet.means, name) is not None}
    lacks.add("one" if fleet.postgres else "replicas")
    return {
        name: kind.weight
        for name, kind in KINDS.items()
        if not lacks & set(kind.means.split()) and (only is None or name in only)
    }


def not_done(fleet: Fleet) -> list[str]:
    """Return what this machine does not allow, with what is done instead."""
    lines = []
    if fleet.means.cables is not None:
        lines.append(
            f"no network namespaces ({fleet.means.cables}): links are cut, held and lossy by the proxy alone; "
            "not done: link down, 20 % of packets lost, packets lost one way"
        )
    if fleet.means.disks is not None:
        lines.append(f"no small disks ({fleet.means.disks}): not done: board's and controller's disk full")
    return lines
