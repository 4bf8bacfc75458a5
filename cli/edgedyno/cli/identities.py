"""`edgedyno controller ca | enroll | broker-config` and `edgedyno boards enroll | revoke`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_table, say
from edgedyno.controller.config import load_config
from edgedyno.controller.security import commands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.controller.security.broker_rights import BrokerFiles

DAY_SECONDS = 86_400.0


def ca_init(config_file: Path | None, *, replace: bool) -> None:
    """Make the CA, or a new root beside the old one."""
    authority = commands.open_authority(load_config(config_file), make=True)
    if replace:
        authority.replace()
    say(f"the CA's fingerprint is {authority.fingerprint} (sha256)")


def ca_show(config_file: Path | None, *, as_json: bool) -> None:
    """Print the CA and when each certificate ends."""
    config = load_config(config_file)
    shown = commands.show_authority(config, commands.open_authority(config, make=False))
    if as_json:
        print_json(shown)
        return
    say(f"{shown.name}, sha256 {shown.sha256}, in {shown.folder}")
    rows = [[one.kind, one.name, _left(one.ends_at_unix)] for one in shown.certificates]
    print_table("", ("certificate", "of", "ends in"), rows)


def _left(ends_at_unix: float) -> str:
    left = ends_at_unix - time.time()
    return f"{left / DAY_SECONDS:.1f} days" if left > 0 else f"ended {-left / DAY_SECONDS:.1f} days ago"


def ca_server(names: Sequence[str], config_file: Path | None, *, out: Path) -> None:
    """Write a server's key and certificate."""
    made = commands.write_server(load_config(config_file), names, out)
    say(f"{out}/cert.pem and key.pem: {'made' if made else 'still good'}, for {', '.join(names)}")


def enroll_here(
    board: str | None, config_file: Path | None, *, expires_seconds: float, as_json: bool
) -> None:
    """Make a token on the controller's machine."""
    token, ends = commands.invite(load_config(config_file), board, expires_seconds=expires_seconds)
    _print_token(token, board, ends, as_json=as_json)


def enroll(board: str | None, *, url: str, expires_seconds: float, as_json: bool) -> None:
    """Make a token through the API."""
    with Controller(url) as controller:
        made = controller.call(
            "POST", "/enrolments", json={"board": board, "expires_seconds": expires_seconds}
        )
    _print_token(made["token"], board, made["expires_at_unix"], as_json=as_json)


def _print_token(token: str, board: str | None, ends_at_unix: float, *, as_json: bool) -> None:
    if as_json:
        print_json({"token": token, "board": board, "expires_at_unix": ends_at_unix})
        return
    minutes = (ends_at_unix - time.time()) / 60
    say(f"for {board or 'any board'}, once, within {minutes:.0f} minutes; on the board:\n")
    print(f"edgedyno agent enroll {token}")  # noqa: T201 - the data that was asked for


def revoke(board: str, *, url: str, as_json: bool) -> None:
    """Throw a board out."""
    with Controller(url) as controller:
        done = controller.call("POST", f"/boards/{board}/revoke")
    if as_json:
        print_json(done)
        return
    say(f"{board}: its certificates count no more, its connections are ended")
    if done["problem"]:
        say(f"not done yet, and tried again: {done['problem']}")


def broker_config(
    config_file: Path | None, *, out: Path, names: Sequence[str], files: BrokerFiles, as_json: bool
) -> None:
    """Write mosquitto's files."""
    covered = commands.write_broker(load_config(config_file), out, files, names=names)
    if as_json:
        print_json({"folder": str(out.absolute()), "names": covered, "port": files.port})
        return
    say(f"{out}/mosquitto.conf, for a broker that is reached as {', '.join(covered)}, port {files.port}")
    say(f"start it by: mosquitto -c {out.absolute()}/mosquitto.conf")
