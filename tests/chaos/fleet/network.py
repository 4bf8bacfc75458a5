"""A board's own network: a namespace and a pair of virtual cables, with real loss of real packets.

Loss is a filter on what comes in at one end (`tc`, a classic BPF program that draws a number for each packet),
which every Linux with cls_bpf has; `netem`, which not every kernel has, is not needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.fleet.proxy import Way

_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM, linux/filter.h
_SHOT, _OK = 2, 0  # TC_ACT_SHOT, TC_ACT_OK, linux/pkt_cls.h


def why_not() -> str | None:
    """Return why no namespaces can be made here; None where they can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    missing = [name for name in ("ip", "tc") if shutil.which(name) is None]
    if missing:
        return f"found no {', '.join(missing)} on PATH (iproute2)"
    trial = Cable(99)
    try:
        trial.plug()
        trial.lose("up", 0.2)
        trial.lose("down", 1.0)
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.decode().strip()}"
    finally:
        trial.unplug()
    return None


class Cable:
    """One board's namespace; `address` is the near end, where the board finds everybody else."""

    def __init__(self, number: int) -> None:
        self.name = f"edc{os.getpid()}b{number}"
        self._near = f"ec{os.getpid() % 100_000}n{number}"
        network = f"10.{100 + os.getpid() % 100}.{number}"
        self.address = f"{network}.1"
        self._far_address = f"{network}.2"

    @property
    def inside(self) -> list[str]:
        """What goes before a command that is to run inside."""
        return ["ip", "netns", "exec", self.name]

    def plug(self) -> None:
        """Make it. Raises CalledProcessError."""
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", self._near, "type", "veth", "peer", "name", "far", "netns", self.name)
        _run("ip", "addr", "add", f"{self.address}/30", "dev", self._near)
        _run("ip", "link", "set", self._near, "up")
        _run("ip", "-n", self.name, "addr", "add", f"{self._far_address}/30", "dev", "far")
        for name in ("lo", "far"):
            _run("ip", "-n", self.name, "link", "set", name, "up")
        _run("tc", "qdisc", "add", "dev", self._near, "ingress")
        _run("tc", "-n", self.name, "qdisc", "add", "dev", "far", "ingress")

    def pull(self) -> None:
        """Take the link down."""
        _run("ip", "-n", self.name, "link", "set", "far", "down")

    def put_back(self) -> None:
        """Take the link up."""
        _run("ip", "-n", self.name, "link", "set", "far", "up")

    def lose(self, way: Way, share: float) -> None:
        """Lose this share of the packets that go one way; 0 ends it."""
        place = ["dev", self._near] if way == "up" else ["dev", "far"]
        tc = ["tc"] if way == "up" else ["tc", "-n", self.name]
        subprocess.run([*tc, "filter", "del", *place, "parent", "ffff:"], capture_output=True, check=False)
        if share > 0:
            program = _program(share)
            _run(*tc, "filter", "add", *place, "parent", "ffff:", "bpf", "da", "bytecode", program)

    def unplug(self) -> None:
        """Remove it, whatever there is of it."""
        for command in (["ip", "netns", "del", self.name], ["ip", "link", "del", self._near]):
            subprocess.run(command, capture_output=True, check=False)


def _program(share: float) -> str:
    """Return four instructions: draw a number, and drop the packet if it is among the highest."""
    if share >= 1:
        return f"1,6 0 0 {_SHOT}"
    limit = int((1 - share) * 2**32)
    return f"4,32 0 0 {_RANDOM},37 0 1 {limit},6 0 0 {_SHOT},6 0 0 {_OK}"


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)
