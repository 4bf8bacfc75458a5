"""Write a draft board profile from what was found, for a board that has none: valid YAML, ready to be completed.

TODO comments stand only where a human has to say. Not responsible for where the profile is kept.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.cpulist import format_cpu_list
from edgedyno.agent.host.thermal import find_temperature_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.host.board import Board
    from edgedyno.agent.host.place import Place
    from edgedyno.core.board import Capabilities

_SOC = re.compile(r"^(brcm|rockchip|nvidia,tegra|allwinner|amlogic|qcom|mediatek|fsl|ti|samsung|hisilicon)")


def draft_profile(place: Place, board: Board, found: Capabilities) -> str:
    """Return the profile's text. What a meter measures and what slows a board down only its owner can tell."""
    return "\n".join(_lines(place, board, found)) + "\n"


def _lines(place: Place, board: Board, found: Capabilities) -> Iterator[str]:
    yield f"id: {profile_id(board)}  # TODO a short id of your choice; the file is to be named after it"
    yield f"name: {_text(found.name)}"
    yield from _match(board)
    yield from _expect(board, found)
    yield from _core_sets(found)
    yield from _power(found)
    yield from _throttle(found)
    yield from _thermal(place)
    if names := [runtime.name for runtime in found.runtimes if runtime.available]:
        yield f"runtimes: [{', '.join(names)}]  # TODO the usual choice first"
    yield "unconfirmed: true  # TODO remove it when a capture of the board is among the test fixtures"
    yield "origin:"
    yield f"- {_text(f'edgedyno agent caps --profile, kernel {found.kernel}, {found.os}')}"


def profile_id(board: Board) -> str:
    """Return an id made of the name that the board gives itself; one that can have no other meaning."""
    identity = board.identity
    name = identity.compatible[0].partition(",")[2] if identity.compatible else identity.name()
    words = re.sub(r"[^a-z0-9]+", "-", (name or "my-board").lower()).strip("-")
    return "-".join(words.split("-")[:6]) or "my-board"


def _text(text: str) -> str:
    """Quote as YAML does; JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)


def _list(words: list[str]) -> str:
    return f"[{', '.join(_text(word) for word in words)}]"


def _match(board: Board) -> Iterator[str]:
    identity = board.identity
    yield "match:"
    if identity.compatible:
        own = [entry for entry in identity.compatible if not _SOC.match(entry)] or identity.compatible[:1]
        yield f"- compatible: {_list(own)}"
        return
    stated = [
        ("cpu_parts", _list(identity.cpu_parts) if identity.cpu_parts else None),
        ("cpu_vendors", _list([identity.cpu_vendor]) if identity.cpu_vendor else None),
        ("dmi_vendors", _list([identity.dmi_vendor]) if identity.dmi_vendor else None),
        (
            "dmi_product_pattern",
            _text(re.escape(identity.dmi_product).replace("\\ ", " ")) if identity.dmi_product else None,
        ),
        ("cpu_counts", None if identity.dmi_product else f"[{identity.cpu_count}]"),
    ]
    lines = [f"{name}: {value}" for name, value in stated if value]
    yield from (f"{'- ' if index == 0 else '  '}{line}" for index, line in enumerate(lines))
    if not identity.dmi_product:
        yield "  # TODO nothing names this board; a rule that only counts its CPUs matches others too"


def _expect(board: Board, found: Capabilities) -> Iterator[str]:
    yield "expect:"
    named = [cluster for cluster in found.cpu.clusters if cluster.core]
    if named:
        yield "  clusters:"
    for cluster in named:
        cpus = format_cpu_list(cluster.cpus)
        clock = f", max_mhz: {cluster.max_hz / 1e6:g}" if cluster.max_hz else ""
        yield f"  - {{cpus: {_text(cpus)}, core: {cluster.core}{clock}}}"
    unnamed = sorted({f"{part[0]:#04x}/{part[1]:#05x}" for part in board.info.parts.values()})
    if unnamed and not named:
        yield f"  # TODO name the cores with part numbers {', '.join(unnamed)}"
    yield f"  features: [{', '.join(found.cpu.features)}]"
    yield "  # TODO memory: its type and width, such as LPDDR4X-4267 32-bit; the kernel does not tell"


def _core_sets(found: Capabilities) -> Iterator[str]:
    if "big" in found.core_sets:
        yield "core_sets:"
        for name in ("big", "little"):
            yield f"  {name}: {_text('CPUs ' + format_cpu_list(found.core_sets[name]))}"


def _power(found: Capabilities) -> Iterator[str]:
    usable = [source for source in found.power if source.available]
    if not usable:
        yield "# power: no sensor was found; see docs/boards.md for meters outside"
        return
    yield "power:"
    for source in usable:
        yield f"- source: {source.source}"
        yield f"  scope: {_text(source.scope)}  # TODO what it meters: package, module, board, machine"
        if source.rails:
            yield f"  # TODO total: which of {', '.join(source.rails)} add up to that;"
            yield "  # TODO parts: which are branches of another and must never be added to it"


def _throttle(found: Capabilities) -> Iterator[str]:
    usable = [source.source for source in found.throttle if source.available]
    if usable:
        yield "throttle:"
        yield from (f"- source: {name}" for name in usable)
    else:
        yield "# throttle: nothing was found that tells of it; a fall of the clock is what remains"


def _thermal(place: Place) -> Iterator[str]:
    zones = list(find_temperature_files(place.root))
    if zones:
        yield "thermal:"
        yield f"  zones: {_list(zones)}"
        yield "  # TODO passive_celsius: where the board begins to slow down, from its maker's documents"
