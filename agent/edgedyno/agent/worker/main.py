"""The worker's loop: one JSON line in, one JSON line out, nothing in between but the runtime.

It loads one variant, runs bursts on command and returns raw samples. It never decides anything.
"""

import gc
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, TensorSpec
from edgedyno.agent.worker import computing, confine, landlock, numa, optouts, pacing, tensors

Answer = Dict[str, Any]


def main(command_fd: int, answer_fd: int, parent_pid: int) -> int:
    """Serve commands until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's to handle
    confine.die_with_parent(parent_pid)
    confine.no_core_dumps()
    confine.no_new_privileges()
    confine.limit_files()
    confine.be_first_to_be_killed()
    optouts.opt_out()
    worker = Worker()
    with os.fdopen(command_fd, "r", encoding="utf-8") as commands, os.fdopen(
        answer_fd, "w", encoding="utf-8"
    ) as answers:
        for line in commands:
            answers.write(json.dumps(_serve(worker, json.loads(line))) + "\n")
            answers.flush()
    return 0


def _serve(worker: "Worker", command: Answer) -> Answer:
    try:
        answer = worker.commands[command.pop("op")](**command)
    except InferenceError as failure:
        return {"ok": False, "code": failure.code, "text": str(failure)}
    except MemoryError:
        return {
            "ok": False,
            "code": "worker.memory",
            "text": "the runtime asked for more memory than its limit",
        }
    except Exception as error:  # noqa: BLE001 - plugin boundary: it costs one trial
        traceback.print_exc(file=sys.stderr)
        if "bad_alloc" in str(error):
            return {"ok": False, "code": "worker.memory", "text": "the runtime ran out of memory: %s" % error}
        return {"ok": False, "code": "runtime.error", "text": "%s: %s" % (type(error).__name__, error)}
    answer["ok"] = True
    return answer


class Worker:
    """One runtime with at most one variant."""

    def __init__(self) -> None:
        self.commands: Dict[str, Callable[..., Answer]] = {
            "start": self.start,
            "probe": self.probe,
            "load": self.load,
            "bind": self.bind,
            "place": self.place,
            "burst": self.burst,
            "paced": self.paced,
            "stream": self.stream,
            "infer": self.infer,
            "show": self.show,
            "precision": self.precision,
            "profile": self.profile,
            "check": self.check,
        }
        self._runtime: Any = None
        self._read: Callable[[], List[Any]] = list
        self._shared: Dict[Tuple[int, ...], Any] = {}
        self._cpus: List[int] = []
        self._memory_node: Optional[int] = None
        self._memory = numa.Bound(False)
        self._batch = 1
        self._threads = 1
        self._loaded_ns: Optional[Dict[str, int]] = None
        self._waiting_since = (time.monotonic_ns(), time.process_time_ns())

    def start(
        self,
        plugin: Dict[str, Any],
        cpus: Optional[List[int]] = None,
        memory_bytes: Optional[int] = None,
        memory_node: Optional[int] = None,
        fence: Optional[Dict[str, List[str]]] = None,
    ) -> Answer:
        """Take cores and limits, then load the plugin: in this order, so that every thread inherits them."""
        no_network = optouts.leave_network()
        fenced = fence is not None and landlock.fence_in(**fence)
        if cpus:
            confine.pin(cpus)
            self._cpus = cpus
        if memory_node is not None:
            self._memory = numa.bind_memory(memory_node)
            self._memory_node = memory_node
        if memory_bytes:
            confine.limit_memory(memory_bytes)
        self._runtime = load_plugin(plugin["module"], plugin["attribute"], plugin.get("file"))()
        return {"no_network": no_network, "fenced": fenced, "memory_refused": self._memory.reason}

    def probe(self) -> Answer:
        """Ask the runtime whether it works here."""
        return {"probe": self._runtime.probe()._asdict()}

    def load(self, model: str, threads: int, batch: int, scratch: str) -> Answer:
        """Load the variant and time it."""
        started = time.perf_counter_ns()
        self._runtime.load(LoadOptions(model, threads, batch, scratch))
        elapsed = time.perf_counter_ns() - started
        self._batch = batch
        self._threads = threads
        self._loaded_ns = computing.run_ns()
        # From here on nothing is collected: a collection inside a burst would be measured.
        gc.collect()
        gc.freeze()
        gc.disable()
        return {"load_seconds": elapsed / 1e9, "inputs": [spec._asdict() for spec in self._runtime.inputs()]}

    def bind(self, path: Optional[str] = None) -> Answer:
        """Bind the tensor at `path` as the only input; without a path the plugin gets no arrays."""
        self._read = self._runtime.bind([] if path is None else [self._tensor(path)])
        return {}

    def _tensor(self, path: str) -> Any:
        return tensors.read_for(self._input(), path, self._batch)

    def _input(self) -> TensorSpec:
        specs = self._runtime.inputs()
        if len(specs) != 1:
            names = ", ".join(spec.name for spec in specs)
            raise InferenceError("input.count", "found %d inputs (%s), expected one" % (len(specs), names))
        return specs[0]  # type: ignore[no-any-return]

    def place(self, cpus: List[int]) -> Answer:
        """Move every thread to these CPUs of the core set; those that compute to one each, if they are as many."""
        confine.pin_every_thread(cpus, computing.busiest_threads(self._threads, self._loaded_ns))
        return {}

    def burst(self, count: int) -> Answer:
        """Run `count` inferences and return the time of each; tell the CPU time since the last burst too."""
        waited_ns, waiting_cpu_ns = self._waited()
        invoke, clock = self._runtime.invoke, time.perf_counter_ns
        stamps = [0] * count
        delay, cpu = confine.run_delay_ns(), time.process_time_ns()
        started = time.monotonic_ns()
        for index in range(count):
            before = clock()
            invoke()
            stamps[index] = clock() - before
        ended = time.monotonic_ns()
        ended_cpu = time.process_time_ns()
        answer = {
            "latency_ns": stamps,
            "started_ns": started,
            "ended_ns": ended,
            "cpu_ns": ended_cpu - cpu,
            "run_delay_ns": confine.run_delay_ns() - delay,
            "waited_ns": waited_ns,
            "waiting_cpu_ns": waiting_cpu_ns,
        }
        self._waiting_since = (ended, ended_cpu)
        return answer

    def _waited(self) -> Tuple[int, int]:
        """Return how long this process waited since its last burst, and its CPU time meanwhile.

        A runtime whose threads spin while nothing is asked of it shows here: it takes its neighbour's core.
        """
        since, cpu = self._waiting_since
        return time.monotonic_ns() - since, time.process_time_ns() - cpu

    def paced(self, period_ns: int, arrivals: int) -> Answer:
        """Answer inputs that arrive by the clock; see `pacing.answer_arrivals`."""
        delay, cpu = confine.run_delay_ns(), time.process_time_ns()
        answer = pacing.answer_arrivals(self._runtime.invoke, period_ns, arrivals)
        answer.update(cpu_ns=time.process_time_ns() - cpu, run_delay_ns=confine.run_delay_ns() - delay)
        return answer

    def stream(self, start_ns: int, seconds: float) -> Answer:
        """Infer from a moment of the monotonic clock on; see `pacing.stream`."""
        delay, cpu = confine.run_delay_ns(), time.process_time_ns()
        answer = pacing.stream(self._runtime.invoke, start_ns, start_ns + int(seconds * 1e9))
        answer.update(cpu_ns=time.process_time_ns() - cpu, run_delay_ns=confine.run_delay_ns() - delay)
        return answer

    def infer(self, path: str, folder: str, name: str) -> Answer:
        """Infer one prepared tensor and write the outputs."""
        self.bind(path)
        self._runtime.invoke()
        return {"outputs": tensors.write_outputs(self._read(), self._batch, folder, name)}

    def show(self, tensor_fd: int, shape: List[int], output_fd: int) -> Answer:
        """Infer the tensor in one open file and put the outputs into another; both came with the process."""
        waited_ns, waiting_cpu_ns = self._waited()
        place = (tensor_fd, *shape)
        if place not in self._shared:
            self._shared[place] = tensors.map_tensor(tensor_fd, shape)
        tensor = self._shared[place]
        self._read = self._runtime.bind([tensors.made_for(self._input(), tensor, self._batch)])
        self._runtime.invoke()
        answer = {
            "outputs": tensors.put_outputs(self._read(), self._batch, output_fd),
            "waited_ns": waited_ns,
            "waiting_cpu_ns": waiting_cpu_ns,
        }
        self._waiting_since = (time.monotonic_ns(), time.process_time_ns())
        return answer

    def precision(self) -> Answer:
        """Ask what really ran."""
        precision, detail = self._runtime.effective_precision()
        return {"effective_precision": precision, "detail": detail}

    def profile(self) -> Answer:
        """Ask how long each operator takes; a plugin from before there was this question cannot tell."""
        ask = getattr(self._runtime, "profile", None)
        if ask is None:
            raise InferenceError("profile.unsupported", "this runtime's plugin has no profile")
        found = ask()
        return {
            "operators": [each._asdict() for each in found.operators],
            "inferences": found.inferences,
            "source": found.source,
        }

    def check(self) -> Answer:
        """Tell whether threads and memory keep to their place, how many computed, and the peak of memory."""
        count, strayed = confine.strayed_threads(self._cpus) if self._cpus else (0, 0)
        node = self._memory_node
        return dict(
            confine.usage(),
            threads=count,
            strayed_threads=strayed,
            computing_threads=computing.computing_threads(self._threads, self._loaded_ns),
            memory_strayed_ratio=None if node is None else numa.strayed_ratio(node),
        )


def load_plugin(module: str, attribute: str, file: Optional[str] = None) -> Callable[[], Any]:
    """Import the plugin's class: from this package, from `file`, or from the interpreter's own packages."""
    if file is None:
        loaded = importlib.import_module(module)
    else:
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise InferenceError("plugin.invalid", "found %s, expected a Python module" % file)
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[module] = loaded
        spec.loader.exec_module(loaded)
    return getattr(loaded, attribute)  # type: ignore[no-any-return]
