"""The board's capabilities for the daemon: probed in a child, kept until what they depend on changes."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.files import write_durably
from edgedyno.agent.host.powermode import read_power_mode
from edgedyno.agent.host.read import entries, read_text
from edgedyno.agent.journal import read_boot_id
from edgedyno.agent.speeds import is_wanted
from edgedyno.core.board import Capabilities
from edgedyno.core.errors import RunError
from edgedyno.core.run import Environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedyno.core.meters import MeterSettings

CPU_FOLDER = "sys/devices/system/cpu"
log = logging.getLogger(__name__)

# Each runtime of each environment starts a process and runs a model; on a slow board that takes its time.
PROBE_SECONDS = 300.0
PROBE = "import sys; from edgedyno.agent.main import main; sys.exit(main(sys.argv[1:]))"


class _Kept(msgspec.Struct, frozen=True):
    key: str
    capabilities: Capabilities


def read_inventory(
    file: Path,
    environments: list[Environment],
    *,
    config_file: Path | None,
    meters: Sequence[MeterSettings] = (),
) -> Capabilities:
    """Return this board's capabilities, probing only when nothing valid is kept in `file`.

    Probing happens in a child, so that what it imports does not stay in the daemon's memory. Raises RunError.
    """
    key = inventory_key(environments, meters)
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        kept = None
    if kept is not None and kept.key == key:
        return kept.capabilities
    capabilities = _probe(config_file, file.parent)
    write_durably(file, msgspec.json.encode(_Kept(key, capabilities)))
    return capabilities


def inventory_key(environments: Iterable[Environment], meters: Sequence[MeterSettings] = ()) -> str:
    """Return a hash that changes with the boot, the interpreters, what is installed in them, and the meters."""
    parts = [read_boot_id()]
    for environment in [Environment("default", sys.executable), *environments]:
        python = Path(environment.python)
        parts += [environment.name, environment.python]
        parts += [_stamp(path) for path in [python, *_site_packages(python)]]
    parts += _clock_settings()
    parts += [repr(meter) for meter in meters]
    parts.append(_stamp(Path(__file__).with_name("capabilities.py")))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _clock_settings() -> list[str]:
    """Return governors and power mode: measured speeds belong to them."""
    folder = Path("/", CPU_FOLDER, "cpufreq")
    governors = {read_text(folder / name / "scaling_governor") or "" for name in entries(folder)}
    return [*sorted(governors), read_power_mode(Path("/")) or ""]


def _site_packages(python: Path) -> list[Path]:
    """Return the folders of packages beside an interpreter; installing into them changes their times."""
    prefix = python.parent.parent
    return sorted([*prefix.glob("lib/python3*/site-packages"), *prefix.glob("lib/python3*/dist-packages")])


def _stamp(path: Path) -> str:
    try:
        return f"{path} {path.stat().st_mtime_ns}"
    except OSError:
        return f"{path} -"


def _probe(config_file: Path | None, state_dir: Path) -> Capabilities:
    """Probe in a child, which finds the environments that were made in this state directory."""
    log.info("probing what this board has")
    command = [sys.executable, "-c", PROBE, "caps", "--json"]
    if is_wanted(os.environ):
        command.append("--measure-stale")
    if config_file is not None:
        command += ["--config", str(config_file)]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            env={**os.environ, "EDGEDYNO_STATE_DIR": str(state_dir)},
            timeout=PROBE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RunError(f"probing this board failed with exit code {done.returncode}", code="caps.probe")
        return msgspec.json.decode(done.stdout, type=Capabilities)
    except subprocess.TimeoutExpired as error:
        raise RunError(f"probing this board took more than {PROBE_SECONDS:g} s", code="caps.probe") from error
    except msgspec.MsgspecError as error:
        raise RunError(f"probing this board gave no capabilities: {error}", code="caps.probe") from error
