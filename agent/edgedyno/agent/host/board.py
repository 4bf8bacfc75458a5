"""Everything that can be read about a board's hardware and system, in one pass."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.cpuinfo import CpuInfo, read_cpuinfo
from edgedyno.agent.host.features import common_features
from edgedyno.agent.host.identity import Identity, read_identity
from edgedyno.agent.host.profile import BoardProfile, match_profile
from edgedyno.agent.host.topology import Topology, read_topology

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place


class Board(Struct, frozen=True):
    """A board as found, and the profile that it matches."""

    info: CpuInfo
    topology: Topology
    identity: Identity
    profile: BoardProfile

    def features(self) -> list[str]:
        """Return the instruction-set features that all online CPUs have."""
        return common_features(self.info.words[cpu] for cpu in self.topology.online if cpu in self.info.words)


def read_board(place: Place) -> Board:
    """Read processor, topology and identity, and look the profile up."""
    info = read_cpuinfo(place.root)
    topology = read_topology(place.root, info)
    identity = read_identity(place.root, info, topology)
    return Board(info, topology, identity, match_profile(identity, place.root))


def architecture(place: Place, info: CpuInfo) -> str:
    """Return the architecture as `uname -m` names it; `unknown` where a recording does not tell."""
    if not place.recorded:
        return platform.machine()
    said = (place.tools.run("uname", "-m").text or "").strip()
    return said or info.architecture or "unknown"
