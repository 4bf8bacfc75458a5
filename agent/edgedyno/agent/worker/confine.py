"""What a worker does to itself before a runtime is loaded: parent's death, memory limit, cores, signals."""

import ctypes
import os
import resource
import signal
from typing import Any, Dict, List, Set, Tuple

from edgedyno.agent.runtimes.base import InferenceError

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
# The largest bundle that is unpacked (runtimes/bundle.py), and as much again for an engine that is built of it.
MOST_FILE_BYTES = 16 << 30
# CUDA and OpenCL open hundreds; far more is a leak or an attack.
MOST_OPEN_FILES = 4096


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGKILL when the parent dies; leave at once where it has died already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def be_first_to_be_killed() -> None:
    """Offer this process, not the runner or the daemon, to the kernel when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # not permitted here: the kernel then picks by size, which is the worker anyway


def limit_memory(limit_bytes: int) -> None:
    """Limit private writable memory (RLIMIT_DATA); many runtimes reserve address space freely."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def no_new_privileges() -> bool:
    """Let no program that this process starts get rights that it has not: set-user-id bits count for nothing."""
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def limit_files() -> None:
    """Limit how large a file this process writes, and how many it holds open.

    Not how many processes: the kernel counts those of the whole user, the daemon's and other programs' too.
    """
    for kind, most in ((resource.RLIMIT_FSIZE, MOST_FILE_BYTES), (resource.RLIMIT_NOFILE, MOST_OPEN_FILES)):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def no_core_dumps() -> None:
    """Keep a crash from writing the model and its weights to disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def pin(cpus: List[int]) -> None:
    """Allow this process only these CPUs; threads that start later inherit it.

    Raises InferenceError where the kernel grants fewer: it leaves out CPUs that are offline or outside the
    cgroup without a word, and refuses only when none is left.
    """
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        text = "found no CPU of %s that this process may use: %s" % (cpus, error.strerror)
        raise InferenceError("cores.refused", text) from error
    missing = sorted(set(cpus) - os.sched_getaffinity(0))
    if missing:
        text = "CPUs %s of %s went offline or are outside this process's cgroup" % (missing, cpus)
        raise InferenceError("cores.refused", text)


def pin_every_thread(cpus: List[int], computing: List[int]) -> None:
    """Allow every thread that this process has only these CPUs.

    Where those that compute are as many as the CPUs, each gets one of its own: left to the kernel, two of them
    often woke on the same one after a pause, and took turns there.
    """
    own = dict(zip(computing, cpus)) if len(computing) == len(cpus) else {}
    for task in map(int, os.listdir("/proc/self/task")):
        try:
            os.sched_setaffinity(task, [own[task]] if task in own else cpus)
        except ProcessLookupError:
            continue  # the thread has ended meanwhile


def strayed_threads(cpus: List[int]) -> Tuple[int, int]:
    """Return how many threads this process has, and how many of them may run outside `cpus`."""
    allowed = set(cpus)
    masks = [parse_cpu_list(mask) for mask in _allowed_lists()]
    return len(masks), sum(1 for mask in masks if not mask <= allowed)


def _allowed_lists() -> List[str]:
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/" + task + "/status") as file:
                found += [line.split(":")[1] for line in file if line.startswith("Cpus_allowed_list:")]
        except OSError:
            continue  # the thread has ended meanwhile
    return found


def parse_cpu_list(text: str) -> Set[int]:
    """Read the kernel's list format, such as `0-3,8`."""
    cpus: Set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def run_delay_ns() -> int:
    """Return how long this process's threads have waited for a CPU; 0 where the kernel does not count."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/" + task + "/schedstat") as file:
                total += int(file.read().split()[1])
        except (OSError, IndexError):
            continue
    return total


def usage() -> Dict[str, Any]:
    """Return the peak of resident memory so far."""
    return {"peak_rss_bytes": _peak_rss_bytes()}


def _peak_rss_bytes() -> int:
    """Return the peak of this program alone: ru_maxrss begins at what the process was that started it."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            lines = [line for line in file if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
