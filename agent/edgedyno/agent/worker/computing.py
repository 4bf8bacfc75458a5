"""Which threads of this process computed since a moment, and whether they are more than were asked for."""

import os
from typing import Dict, List, Optional

# A thread beyond those asked for counts when it computed like one of them: at least half as long as the least
# busy of those, and a tenth as long as the busiest. A runtime's helpers (a caller that waits for its pool, a
# timer, a logger) stay below one or the other.
LIKE_THE_LEAST = 0.5
LIKE_THE_BUSIEST = 0.1
LEAST_NS = 20_000_000  # less computing in all tells nothing: ticks and start-up


def run_ns() -> Optional[Dict[str, int]]:
    """Return the time on a CPU of each thread so far; None where the kernel does not count (SCHED_INFO)."""
    found: Dict[str, int] = {}
    for task in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/" + task + "/schedstat") as file:
                found[task] = int(file.read().split()[0])
        except (OSError, IndexError, ValueError):
            continue
    return found if any(found.values()) else None


def computing_threads(asked: int, before: Optional[Dict[str, int]]) -> Optional[int]:
    """Return how many threads computed since `before`, if they are more than `asked`; else at most `asked`."""
    now = run_ns()
    if now is None or before is None:
        return None
    return count_computing(asked, [each - before.get(task, 0) for task, each in now.items()])


def busiest_threads(count: int, before: Optional[Dict[str, int]]) -> List[int]:
    """Return the ids of at most `count` threads that computed since `before`, the longest first."""
    now = run_ns()
    if now is None or before is None:
        return []
    spent = sorted(((each - before.get(task, 0), int(task)) for task, each in now.items()), reverse=True)
    return [task for each, task in spent[:count] if each >= max(1.0, LIKE_THE_BUSIEST * spent[0][0])]


def count_computing(asked: int, spent_ns: List[int]) -> Optional[int]:
    """Return how many of the threads that spent these times computed; None where they did next to nothing."""
    ranked = sorted(spent_ns, reverse=True)
    if sum(ranked) < LEAST_NS:
        return None
    busy = [each for each in ranked if each >= LIKE_THE_BUSIEST * ranked[0]]
    extra = [each for each in busy[asked:] if each >= LIKE_THE_LEAST * busy[asked - 1]]
    return min(asked, len(busy)) + len(extra)
