"""`edgedyno controller`: run, migrate, backup, restore."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from edgedyno.cli.output import say
from edgedyno.controller.config import load_config
from edgedyno.core.errors import ConfigError
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from pathlib import Path


def run_controller(
    config_file: Path | None,
    *,
    data_dir: Path | None,
    broker: str | None,
    listen: str | None,
    take_over: bool = False,
) -> int:
    """Run the service until it is told to stop."""
    from edgedyno.controller.main import run_service

    flags: dict[str, Any] = {
        "data_dir": str(data_dir) if data_dir else None,
        "take_over": take_over or None,
    }
    flags |= _address("--broker", broker, "broker_host", "broker_port")
    flags |= _address("--listen", listen, "listen_host", "listen_port")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    run_service(
        load_config(config_file, flags=flags), on_ready=lambda url: say(f"the controller is at {url}")
    )
    return 0


def _address(option: str, text: str | None, host_key: str, port_key: str) -> dict[str, Any]:
    if text is None:
        return {}
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, ""
    if not host or (port and not port.isdigit()):
        raise ConfigError(f"{option}: found {text!r}, expected HOST:PORT")
    return {host_key: host.strip("[]"), port_key: int(port) if port else None}


def migrate(config_file: Path | None) -> None:
    """Bring the database up to date."""
    from edgedyno.controller.main import migrate_database

    say(f"database is at schema {migrate_database(load_config(config_file))}")


def backup(target: Path, config_file: Path | None, *, with_keys: bool = False) -> None:
    """Write database and artifacts into `target`, and say what else a restore would need."""
    from edgedyno.controller.store.backup import backup as write_backup

    made = write_backup(load_config(config_file), target, with_artifacts=True, with_keys=with_keys)
    say(
        f"wrote {made.folder}: the database and {made.artifacts} artifacts, {format_bytes(made.artifact_bytes)}"
    )
    for folder in made.keys_left_out:
        say(
            f"not in it: the keys in {folder}; without them enrolled boards will not heed a restored controller"
        )
    if made.keys_left_out:
        say("keep a copy of them in a safe place, or back up with --with-keys")


def restore(source: Path, data_dir: Path) -> None:
    """Make a data folder of a backup, and say what is not in it."""
    from edgedyno.controller.store.restore import restore as put_back

    made = put_back(source, data_dir)
    say(f"wrote {made.folder}: schema {made.revision}, {made.results} results, {made.artifacts} artifacts")
    if made.missing_artifacts:
        say(f"{len(made.missing_artifacts)} artifacts are listed but were not in the backup:")
        for name in made.missing_artifacts:
            say(f"  {name}")
    say(
        f"{len(made.again)} executions were not over when the backup was made and begin again as new attempts"
    )
    for name in made.again:
        say(f"  {name}")
    say("jobs that were submitted after the backup are not in it: submit them again")
