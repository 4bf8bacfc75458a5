"""`edgedyno agent runtimes add | list | remove | available`: the words around making environments."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from edgedyno.agent.config import choose_state_dir, find_state_dir, load_config
from edgedyno.agent.environments import probe_all
from edgedyno.agent.provision import catalogue
from edgedyno.agent.provision.made import Made, find_environments, python_of, read_made
from edgedyno.agent.provision.making import Order, make_environment, remove_environment
from edgedyno.agent.provision.pinning import pythons
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.agent.config import AgentConfig
    from edgedyno.core.environment import EnvironmentProfile

EPILOG = """\
examples:
  edgedyno agent runtimes available                    what can be added, and what each gives
  edgedyno agent runtimes add ncnn                     as pinned for this Python
  edgedyno agent runtimes add ncnn --version 20260526 --as ncnn-20260526
                                                       an older one beside it: two runtimes
  edgedyno agent runtimes add tflite --python 3.11     with another Python
  edgedyno agent runtimes list                         what was added, tried with a model
"""


class _Row(Struct, frozen=True):
    """One environment in `list --json`."""

    made: Made
    python: str
    runtimes: list[RuntimeInfo]


def add_parser(commands: Any, add_options: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add `runtimes` with its commands below `commands`; `add_options` adds what every command has."""
    text = "make, list and remove environments with runtimes"
    parser: argparse.ArgumentParser = commands.add_parser(
        "runtimes",
        help=text,
        description=text,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, words: str, function: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = below.add_parser(name, help=words, description=words)
        add_options(found)
        found.add_argument("--state-dir", metavar="DIR", help="where environments are kept")
        found.set_defaults(command=function)
        return found

    add = command("add", "make an environment from the package index", add_runtime)
    add.add_argument("entry", metavar="NAME", help="of the catalogue; `available` lists it")
    add.add_argument("--version", metavar="V", help="of its main package, in place of the tested one")
    add.add_argument("--python", metavar="P", help="3.11, a command or a path (default: this program's)")
    add.add_argument(
        "--pip-arg", action="append", default=[], metavar="ARG", help="given to pip as it is; --pip-arg=--pre"
    )
    add.add_argument("--as", dest="name", metavar="NAME2", help="its name here (default: NAME)")
    for name, words, function in (
        ("list", "list what was added, each tried with a model", list_runtimes),
        ("available", "list what can be added, or tell all about one", print_available),
    ):
        command(name, words, function).add_argument("--json", action="store_true", help="as JSON")
    below.choices["available"].add_argument("entry", nargs="?", metavar="NAME")
    command("remove", "remove an environment", remove_runtime).add_argument("name", metavar="NAME")


def _config(options: argparse.Namespace) -> AgentConfig:
    return load_config(options.config, flags={"state_dir": options.state_dir})


def add_runtime(options: argparse.Namespace) -> int:
    """Make one environment."""
    config = _config(options)
    order = Order(
        entry=options.entry,
        name=options.name or options.entry,
        version=options.version,
        python=options.python,
        pip_arguments=options.pip_arg,
    )
    state_dir = choose_state_dir(config)
    made, found = make_environment(order, state_dir, taken=config.runtimes)
    for info in found:
        sys.stdout.write(f"{info.name} {info.version} ran a model in {made.name}\n")
    for form in made.builds:
        sys.stdout.write(f"{made.name} can build {form} variants\n")
    size = format_bytes(made.size_bytes)
    sys.stderr.write(f"{size} at {python_of(state_dir, made.name)}\n")
    if made.runtimes:
        sys.stderr.write("a running agent sees it after a restart: sudo systemctl restart edgedyno-agent\n")
    return 0


def list_runtimes(options: argparse.Namespace) -> int:
    """List what was made; 1 when something of it does not work any more."""
    state_dir = find_state_dir(_config(options))
    probed = probe_all(find) if (find := find_environments(state_dir)) else []
    rows = [
        _Row(
            made,
            str(python_of(state_dir, made.name)),
            [info for info in probed if info.environment == made.name],
        )
        for made in read_made(state_dir)
    ]
    if options.json:
        _write_json(rows)
    elif rows:
        _write_table(("name", "gives", "python", "size", "state"), [_cells(row) for row in rows])
    else:
        sys.stderr.write(f"nothing was added in {state_dir}; edgedyno agent runtimes available\n")
    return int(any(_state(row) != "ok" for row in rows))


def _cells(row: _Row) -> list[str]:
    versions = {info.name: info.version for info in row.runtimes if info.version}
    gives = [f"{name} {versions.get(name, row.made.version)}" for name in row.made.runtimes]
    gives += [f"builds {form}" for form in row.made.builds]
    size = format_bytes(row.made.size_bytes)
    return [row.made.name, ", ".join(gives), row.made.python_version, size, _state(row)]


def _state(row: _Row) -> str:
    """Say whether the environment still does what it was made for."""
    if not Path(row.python).exists():
        return f"broken: its Python {row.made.python_version} is gone; remove and add it again"
    broken = [f"{info.name}: {info.reason}" for info in row.runtimes if not info.available]
    known = {info.name for info in row.runtimes}
    broken += [f"{name} is not installed any more" for name in row.made.runtimes if name not in known]
    return f"broken: {'; '.join(broken)}" if broken else "ok"


def remove_runtime(options: argparse.Namespace) -> int:
    """Remove one environment."""
    made = remove_environment(options.name, find_state_dir(_config(options)))
    sys.stderr.write(f"removed {made.name} ({format_bytes(made.size_bytes)})\n")
    return 0


def print_available(options: argparse.Namespace) -> int:
    """List the catalogue, or one entry of it."""
    if options.entry:
        entry = catalogue.find_entry(options.entry)
        _write_json(entry) if options.json else sys.stdout.write(describe(entry))
    elif options.json:
        _write_json(catalogue.catalogue())
    else:
        _write_table(("name", "gives", "python", "size", ""), [_summary(e) for e in catalogue.catalogue()])
        sys.stderr.write("\nedgedyno agent runtimes available NAME tells more; ... add NAME makes one\n")
    return 0


def _summary(entry: EnvironmentProfile) -> list[str]:
    known = pythons(entry.pins)
    span = known[0] if len(known) == 1 else f"{known[0]}-{known[-1]}"
    only = architectures(entry)
    return [
        entry.id,
        gives(entry),
        span,
        f"{entry.installed / 1e6:.0f} MB",
        "" if "," in only else f"{only} only",
    ]


def gives(entry: EnvironmentProfile) -> str:
    """Write what an entry is good for."""
    return ", ".join([*entry.runtimes, *(f"builds {form}" for form in entry.builds)])


def architectures(entry: EnvironmentProfile) -> str:
    """Write the architectures that an entry has pins for."""
    return ", ".join(sorted({each for pins in entry.pins for each in pins.architectures}, reverse=True))


def describe(entry: EnvironmentProfile) -> str:
    """Write everything about an entry for people."""
    lines = [f"{entry.id}: {entry.summary}", f"gives      {gives(entry)}"]
    lines.append(f"size       {format_bytes(entry.installed)}")
    for pins in entry.pins:
        packages = [
            each + (" (alone)" if step.no_deps else "") for step in pins.steps for each in step.packages
        ]
        lines.append(f"pins       Python {', '.join(pins.python)} on {', '.join(pins.architectures)}:")
        lines += [f"             {each}" for each in packages]
    lines += [f"tested     Python {one.python} on {one.architecture}, {one.date}" for one in entry.tested]
    lines.append(f"not tested {entry.not_tested}")
    if entry.device:
        lines.append(f"needs      {entry.device.name}")
    lines += [f"note       {note}" for note in entry.notes]
    return "\n".join(lines) + "\n"


def _write_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head) - 1)]
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        sys.stdout.write("  ".join([*cells, row[-1]]).rstrip() + "\n")
