"""A runtime for tests, standard library only: its "model" is a JSON script that says how it behaves.

It stands in for what no real runtime does on demand: crashing, hanging, eating memory. Runs on Python 3.8.
"""

import concurrent.futures
import hashlib
import json
import os
import signal
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, Probe, TensorSpec


def _spin() -> None:
    while True:
        pass


def _raise() -> None:
    raise ValueError("the script says so")


class ScriptedRuntime:
    """Does what its script says."""

    def __init__(self) -> None:
        self.script: Dict[str, Any] = {}
        self.invoked = 0
        self.hoard: List[bytearray] = []
        self.pool: Optional[concurrent.futures.ThreadPoolExecutor] = None

    def probe(self) -> Probe:
        return Probe(available=True, version="1.0", formats=("script",), details={"pid": str(os.getpid())})

    def load(self, options: LoadOptions) -> None:
        with open(options.model) as file:
            self.script = json.load(file)
        for _ in range(options.threads - 1):
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        if self.script.get("load") == "refuse":
            raise InferenceError("model.invalid", "found a script that refuses")
        self._do(self.script.get("load"))

    def inputs(self) -> List[TensorSpec]:
        return [TensorSpec("x", "float32", (1, 3, None, None))]

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        return lambda: list(arrays)

    def invoke(self) -> None:
        self.invoked += 1
        if self.invoked >= self.script.get("after", 1):
            self._do(self.script.get("invoke"))
        if self.script.get("crowd"):
            self._crowd(self.script["crowd"])
        if self.invoked % self.script.get("stall_every", self.invoked + 1) == 0:
            time.sleep(self.script["stall_seconds"])
        time.sleep(self.script.get("seconds", 0.0))

    def _crowd(self, count: int) -> None:
        """Compute in `count` threads of a pool that stays; hashing lets go of the interpreter's lock."""
        if self.pool is None:
            self.pool = concurrent.futures.ThreadPoolExecutor(count)
        barrier = threading.Barrier(count)

        def compute() -> None:
            barrier.wait()
            hashlib.sha256(bytes(4 << 20)).digest()

        for done in [self.pool.submit(compute) for _ in range(count)]:
            done.result()

    def _do(self, what: Optional[str]) -> None:
        deeds: Dict[Optional[str], Callable[[], Any]] = {
            "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
            "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "exit": lambda: os._exit(7),
            "hang": lambda: time.sleep(3600),
            "raise": _raise,
            "hoard": self._hoard,
            "shout": lambda: print("words on stdout"),
            "spin": lambda: threading.Thread(target=_spin, daemon=True).start(),
            "widen": lambda: os.sched_setaffinity(0, range(os.cpu_count() or 1)),
        }
        deeds.get(what, lambda: None)()

    def _hoard(self) -> None:
        while True:
            self.hoard.append(bytearray(16 << 20))

    def effective_precision(self) -> Tuple[str, str]:
        if "precision" in self.script:
            raise InferenceError(self.script["precision"], "the script says so")
        names = ("ORT_DISABLE_TELEMETRY", "DO_NOT_TRACK")
        return "scripted", json.dumps({name: os.environ.get(name) for name in names})

    def close(self) -> None:
        self.hoard = []
