"""The readers on the machine that runs the tests: whatever it is, nothing raises and nothing is made up."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.coresets import core_set
from edgedyno.agent.host.system import free_disk_bytes

if TYPE_CHECKING:
    from pathlib import Path


def test_capabilities() -> None:
    found = read_capabilities(probe_runtimes=False)
    assert set(found.core_sets["all"]) >= os.sched_getaffinity(0)
    assert found.memory_bytes is not None
    assert found.memory_bytes > 0
    assert found.kernel == os.uname().release
    assert found.arch == os.uname().machine
    assert core_set("all", found) == found.core_sets["all"]
    assert all(each.available or each.reason for each in found.power)
    assert all(each.watts is None for each in found.power)


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert (free_disk_bytes(tmp_path / "a" / "b") or 0) > 0


def test_cpus_outside_this_process_mask_are_barred() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from edgedyno.agent.capabilities import read_capabilities\n"
        "found = read_capabilities(probe_runtimes=False)\n"
        "print(found.core_sets['all'] == sorted(os.sched_getaffinity(0)), len(found.cpu.barred))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    others = len(read_capabilities(probe_runtimes=False).core_sets["all"]) - 1
    assert done.stdout.split() == ["True", str(others)]
