"""`edgedyno controller`: run, migrate, backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.config import load_config

from edgedyno.cli.output import say

if TYPE_CHECKING:
    from pathlib import Path


def run_controller(
    config_file: Path | None, *, data_dir: Path | None, broker: str | None, listen: str | None
) -> int:
    """Run the service until it is told to stop."""
    from edgedyno.controller.service import run_service

    return run_service(load_config(config_file, data_dir=data_dir, broker=broker, listen=listen))


def migrate(config_file: Path | None) -> None:
    """Bring the database up to date."""
    from edgedyno.controller.store import migrate as migrate_database

    version = migrate_database(load_config(config_file).database_url)
    say(f"database is at schema {version}")


def backup(target: Path, config_file: Path | None) -> None:
    """Write database and artifacts into `target`."""
    from edgedyno.controller.store import backup as backup_database

    say(f"wrote {backup_database(load_config(config_file), target)}")
