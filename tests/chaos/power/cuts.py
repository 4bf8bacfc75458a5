"""Cut the power at random points of a recorded life, and see what an agent makes of what is left."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from edgedyno.agent.database import Database
from tests.chaos.power.disk import Disk
from tests.chaos.power.syscalls import Call, read_calls, trace
from tests.chaos.power.workload import describe


class Life:
    """One recorded run of the workload, beginning with the files in `start`."""

    def __init__(self, folder: Path, seed: int, steps: int, start: Path | None, *safety: str) -> None:
        self._home = folder / "home"
        (self._home / "state").mkdir(parents=True)
        if start is not None:
            shutil.copytree(start, self._home, dirs_exist_ok=True)
        self._first = Disk(self._home, copies=folder / "copies", rewritten="state")
        marks, log = folder / "marks", folder / "calls"
        module = [sys.executable, "-m", "tests.chaos.power.workload"]
        trace([*module, str(self._home), str(marks), str(seed), str(steps), *safety], log)
        self._marks = str(marks)
        self._calls = [call for call in read_calls(log) if call.path.startswith(str(folder))]
        self._described = {
            int(number): text
            for word, number, *rest in (line.split() for line in marks.read_text().splitlines())
            if word == "done"
            for text in rest
        }

    def cut(self, count: int, chance: random.Random, folder: Path) -> Counter[str]:
        """Cut the power `count` times, in order of time; return what came of it."""
        outcomes: Counter[str] = Counter()
        points = sorted(chance.randrange(len(self._calls)) for _ in range(count))
        disk, begun, done, at = self._first, -1, -1, 0
        for number, point in enumerate(points):
            for call in self._calls[at:point]:
                begun, done = self._follow(disk, call, begun, done)
            at = point
            target = folder / str(number)
            target.mkdir()
            disk.cut_power(chance, target)
            outcomes[self._judge(target, begun, done)] += 1
            if number < count - 1:
                shutil.rmtree(target)
        return outcomes

    def _follow(self, disk: Disk, call: Call, begun: int, done: int) -> tuple[int, int]:
        if call.path != self._marks:
            disk.apply(call)
        elif call.name == "write":
            word, number, *_ = call.data.decode().split()
            return (int(number), done) if word == "begin" else (max(begun, int(number)), int(number))
        return begun, done

    def _judge(self, target: Path, begun: int, done: int) -> str:
        """Return `kept`, or what is wrong."""
        (target / "state").mkdir(exist_ok=True)
        (target / "spool").mkdir(exist_ok=True)
        database = Database(target / "state")
        try:
            if list((target / "state").glob("*.broken-*")):
                return "corrupt" if done >= 0 else "kept"
            if done < 0:
                return "kept"
            try:
                found = describe(database, target / "spool")
            except FileNotFoundError:
                return "artifact lost"
            states = {self._described[number] for number in range(done, begun + 1)}
            return "kept" if found in states else "lost or changed"
        finally:
            database.close()


def simulate(cuts: int, seed: int, *safety: str, steps: int = 150, per_life: int = 1500) -> Counter[str]:
    """Return how often what was promised was kept, over lives that go on from where a cut left the last one."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    left: Path | None = None
    with tempfile.TemporaryDirectory(prefix="edgedyno-power-", dir="/dev/shm") as folder:
        for number in range(-(-cuts // per_life)):
            place = Path(folder) / str(number)
            place.mkdir()
            life = Life(place, chance.randrange(1 << 30), steps, left, *safety)
            count = min(per_life, cuts - sum(outcomes.values()))
            outcomes += life.cut(count, chance, place)
            previous, left = left, place / str(count - 1)
            if previous is not None:
                shutil.rmtree(previous.parent)
    return outcomes
