"""The commands for identities, added to the groups `controller` and `boards`. Each imports its work when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedyno.cli.options import DEFAULT_URL, Json, Url, group
from edgedyno.core.errors import ConfigError

ca = group("The controller's own CA: make it, look at it, replace it, certify a server.")
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file.")]
Expires = Annotated[str, typer.Option("--expires", help="How long the token counts, such as 15min or 1h.")]
AnyBoard = Annotated[
    str | None, typer.Argument(help="The board's id; without one, any board can use the token.")
]


def add_to(controller: typer.Typer, boards: typer.Typer) -> None:
    """Add the commands to their groups."""
    controller.add_typer(ca, name="ca")
    controller.command("enroll")(controller_enroll)
    controller.command("broker-config")(controller_broker_config)
    boards.command("enroll")(boards_enroll)
    boards.command("revoke")(boards_revoke)


def _seconds(text: str) -> float:
    from edgedyno.core.units import parse_quantity

    try:
        seconds = parse_quantity(text, "time")
    except ConfigError as error:
        raise ConfigError(f"--expires: {error}", code="enroll.expires") from error
    if seconds <= 0:
        raise ConfigError(f"--expires: found {text!r}, expected a time such as 1h", code="enroll.expires")
    return seconds


@ca.command("init")
def ca_init(
    config_file: ConfigFile = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make a new root; the old one stays trusted until it ends.")
    ] = False,
) -> None:
    """Make the CA, which else is made when it is first needed."""
    from edgedyno.cli.identities import ca_init as run

    run(config_file, replace=replace)


@ca.command("show")
def ca_show(config_file: ConfigFile = None, *, as_json: Json = False) -> None:
    """Show the CA's fingerprint and when each certificate ends."""
    from edgedyno.cli.identities import ca_show as run

    run(config_file, as_json=as_json)


@ca.command("server")
def ca_server(
    names: Annotated[list[str], typer.Argument(help="Host names and addresses.", metavar="NAME...")],
    out: Annotated[Path, typer.Option("--out", help="Folder for key.pem and cert.pem.", metavar="DIR")],
    config_file: ConfigFile = None,
) -> None:
    """Certify a server, such as a broker that is configured by hand."""
    from edgedyno.cli.identities import ca_server as run

    run(names, config_file, out=out)


def controller_enroll(
    board: AnyBoard = None, expires: Expires = "1h", config_file: ConfigFile = None, *, as_json: Json = False
) -> None:
    """Make a one-time token by which a board joins, on the controller's machine."""
    from edgedyno.cli.identities import enroll_here

    enroll_here(board, config_file, expires_seconds=_seconds(expires), as_json=as_json)


def boards_enroll(
    board: AnyBoard = None, expires: Expires = "1h", url: Url = DEFAULT_URL, *, as_json: Json = False
) -> None:
    """Make a one-time token by which a board joins."""
    from edgedyno.cli.identities import enroll

    enroll(board, url=url, expires_seconds=_seconds(expires), as_json=as_json)


def boards_revoke(board: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Throw a board out: its certificates count no more and its connections end."""
    from edgedyno.cli.identities import revoke

    revoke(board, url=url, as_json=as_json)


def controller_broker_config(
    out: Annotated[Path, typer.Option("--out", help="Folder for mosquitto's files.", metavar="DIR")],
    config_file: ConfigFile = None,
    *,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="A further host name or address of the broker.", metavar="NAME"),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where it listens.")] = 8883,
    controllers: Annotated[
        list[str] | None,
        typer.Option("--controller-name", help="A further controller's `controller_name`.", metavar="NAME"),
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Listen on this address only.", metavar="ADDRESS")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", help="Who mosquitto runs as when root starts it; its files become theirs."),
    ] = None,
    at: Annotated[
        str, typer.Option("--at", help="Where mosquitto sees the folder, as in a container.", metavar="DIR")
    ] = "",
    state: Annotated[
        str, typer.Option("--state", help="Where mosquitto keeps its database.", metavar="DIR")
    ] = "/var/lib/mosquitto",
    pid_file: Annotated[
        str | None, typer.Option("--pid-file", help="Where mosquitto writes its process id.", metavar="FILE")
    ] = None,
    dynsec: Annotated[
        bool, typer.Option("--dynsec", help="Rights by the dynamic security plugin instead of a file.")
    ] = False,
    plugin: Annotated[
        str | None, typer.Option("--plugin", help="The plugin's file, where mosquitto runs.", metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write mosquitto's configuration: TLS, certificates, and each board only its own topics."""
    from edgedyno.cli.identities import broker_config
    from edgedyno.controller.security.broker_rights import BrokerFiles, find_plugin

    files = BrokerFiles(
        folder=at,
        port=port,
        address=address,
        controllers=controllers or [],
        user=user,
        state=state,
        pid_file=pid_file,
        plugin=(plugin or find_plugin()) if dynsec else None,
    )
    broker_config(config_file, out=out, names=names or [], files=files, as_json=as_json)
