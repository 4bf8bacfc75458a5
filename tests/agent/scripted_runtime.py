"""A runtime for tests, standard library only: its "model" is a JSON script that says how it behaves.

It stands in for what no real runtime does on demand: crashing, hanging, eating memory. Runs on Python 3.8.
"""

import json
import os
import signal
import threading
import time

from edgedyno.agent.runtimes.base import InferenceError, Probe, TensorSpec


class ScriptedRuntime:
    """Does what its script says."""

    def __init__(self):
        self.script = {}
        self.invoked = 0
        self.hoard = []

    def probe(self):
        return Probe(available=True, version="1.0", formats=("script",), details={"pid": str(os.getpid())})

    def load(self, options):
        with open(options.model) as file:
            self.script = json.load(file)
        for _ in range(options.threads - 1):
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        if self.script.get("load") == "refuse":
            raise InferenceError("model.invalid", "found a script that refuses")
        self._do(self.script.get("load"))

    def inputs(self):
        return [TensorSpec("x", "float32", (1, 3, None, None))]

    def bind(self, arrays):
        return lambda: list(arrays)

    def invoke(self):
        self.invoked += 1
        if self.invoked >= self.script.get("after", 1):
            self._do(self.script.get("invoke"))
        time.sleep(self.script.get("seconds", 0.0))

    def _do(self, what):
        if what == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "exit":
            os._exit(7)
        elif what == "hang":
            time.sleep(3600)
        elif what == "raise":
            raise ValueError("the script says so")
        elif what == "hoard":
            while True:
                self.hoard.append(bytearray(16 << 20))
        elif what == "shout":
            print("words on stdout")
        elif what == "widen":
            os.sched_setaffinity(0, range(os.cpu_count()))

    def effective_precision(self):
        return json.dumps({name: os.environ.get(name) for name in ("ORT_DISABLE_TELEMETRY", "DO_NOT_TRACK")})

    def close(self):
        self.hoard = []
