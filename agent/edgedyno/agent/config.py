"""The agent's configuration: flags > EDGEDYNO_* variables > the file > defaults. Connects to nothing."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from edgedyno.core.broker import Broker
from edgedyno.core.document import decode_yaml
from edgedyno.core.errors import ConfigError
from edgedyno.core.meters import MeterSettings, check_meters
from edgedyno.core.run import Environment
from edgedyno.core.signing import read_public_key
from edgedyno.core.topics import check_board_id
from edgedyno.core.units import Bytes, Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = Path("/etc/edgedyno/agent.yaml")
SYSTEM_STATE_DIR = Path("/var/lib/edgedyno")


class AgentConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an agent has to know."""

    board: str | None = None
    """Id of this board; the host's name where it is not given."""
    labels: dict[str, str] = {}
    broker: Broker = Broker()
    controller_url: str | None = None
    """Base of the controller's HTTP API; what the controller says of itself where it is not given."""
    trusted_keys: list[str] = []
    """Public keys of controllers, as `edgedyno controller signing-key show` prints them; enrolment pins its own
    beside. With any, this board runs nothing that is not signed by one of them."""
    controller_token_file: str | None = None
    """File with a token of scope `board`, where the controller wants one and this board has no certificate."""
    state_dir: str | None = None
    cache_size: Bytes = 4 * 2.0**30
    """Budget for artifacts."""
    outbox_limit: Annotated[int, Meta(ge=100, le=1_000_000)] = 10_000
    """Results that may wait for the controller; a tenth of it is kept free for a run that has begun."""
    outbox_size: Annotated[Bytes, Meta(ge=2**20)] = 256 * 2.0**20
    """Size of the results that may wait; the same tenth of it is kept free."""
    min_free: Bytes = 8 * 2.0**20
    """With less free space for `state_dir` no new execution is taken; one that runs keeps its results."""
    heartbeat: Seconds = 30.0
    runner_silence: Seconds = 900.0
    """A runner that says nothing for longer is taken to hang."""
    runtimes: list[Environment] = []
    """Interpreters that have runtimes; this one where none is given."""
    power: list[MeterSettings] = []
    """Power meters outside the board; they go before the board's own sensors, in this order."""

    @property
    def meters(self) -> list[MeterSettings]:
        """The meters outside the board, each plug with its broker."""
        return [
            msgspec.structs.replace(meter, broker=meter.broker or self.broker) if meter.topic else meter
            for meter in self.power
        ]

    @property
    def board_id(self) -> str:
        """The board's id, checked."""
        return check_board_id(self.board or sanitize(socket.gethostname()))


def sanitize(hostname: str) -> str:
    """Make a board id of a host name: its first label, with what an id cannot hold replaced."""
    label = hostname.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-._")[:63] or "board"


def load_config(
    file: Path | None = None,
    *,
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> AgentConfig:
    """Read the configuration and lay variables and flags over it.

    `flags` may hold board, broker (HOST[:PORT]), controller_url and state_dir. The variables are
    EDGEDYNO_BOARD and so on, and EDGEDYNO_CONFIG. Raises ConfigError; only the default file
    need not exist.
    """
    environ = os.environ if environ is None else environ
    named = file or (Path(environ["EDGEDYNO_CONFIG"]) if environ.get("EDGEDYNO_CONFIG") else None)
    config = _read(named, required=True) if named else _read(DEFAULT_FILE, required=False)
    for name in ("board", "broker", "controller_url", "state_dir"):
        variable = f"EDGEDYNO_{name.upper()}"
        if environ.get(variable):
            config = _override(config, name, environ[variable], variable)
        if flags and flags.get(name):
            config = _override(config, name, flags[name] or "", "--" + name.replace("_", "-"))
    return _checked(config)


def _read(file: Path, *, required: bool) -> AgentConfig:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if required:
            raise ConfigError(f"{file}: found no such file", code="config.missing") from error
        return AgentConfig()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}", code="config.unreadable") from error
    return decode_yaml(text, AgentConfig, file=str(file))


def _override(config: AgentConfig, name: str, value: str, origin: str) -> AgentConfig:
    if name != "broker":
        return msgspec.structs.replace(config, **{name: value})
    host, port = _split_address(value, origin)
    broker = msgspec.structs.replace(config.broker, host=host, port=port or config.broker.port)
    return msgspec.structs.replace(config, broker=broker)


def _split_address(text: str, origin: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.query or "@" in text:
        raise ConfigError(f"{origin}: found {text!r}, expected HOST or HOST:PORT", code="config.broker")
    return host, port


def _checked(config: AgentConfig) -> AgentConfig:
    check_board_id(config.board_id)
    check_meters(config.power)
    url = config.controller_url
    if url is not None and not re.match(r"https?://[^/]+", url):
        raise ConfigError(
            f"controller_url: found {url!r}, expected a URL such as 'http://controller:8000'",
            code="config.controller_url",
        )
    if config.controller_token_file is not None and url is None:
        raise ConfigError(
            "controller_token_file: found no controller_url, expected one: a token is not shown to whatever "
            "address the broker tells",
            code="config.controller_url",
        )
    for text in config.trusted_keys:
        read_public_key(text, place="trusted_keys")
    names = [environment.name for environment in config.runtimes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"runtimes: found the name {name!r} twice, expected it once", code="config.runtimes"
            )
    return config


def read_controller_token(config: AgentConfig) -> str | None:
    """Return the token for the controller's HTTP API. Raises ConfigError where its file cannot be read."""
    if config.controller_token_file is None:
        return None
    try:
        return Path(config.controller_token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"controller_token_file: {config.controller_token_file} cannot be read: {error}",
            code="config.token",
        ) from error


def choose_state_dir(config: AgentConfig, environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for all that is kept, made if need be, readable by this user only.

    What the configuration names, else systemd's $STATE_DIRECTORY, else /var/lib/edgedyno, else, where that
    cannot be written, a folder of the user's. Raises ConfigError where a named one cannot be used.
    """
    environ = os.environ if environ is None else environ
    named = _named_state_dir(config, environ)
    if named:
        return _usable(named)
    try:
        return _usable(SYSTEM_STATE_DIR)
    except ConfigError:
        return _usable(_users_state_dir(environ))


def find_state_dir(config: AgentConfig, environ: Mapping[str, str] | None = None) -> Path:
    """Return the same folder for looking only: it is not made, and need not be there."""
    environ = os.environ if environ is None else environ
    named = _named_state_dir(config, environ)
    if named:
        return named
    usable = SYSTEM_STATE_DIR.is_dir() and os.access(SYSTEM_STATE_DIR, os.W_OK | os.X_OK)
    return SYSTEM_STATE_DIR if usable else _users_state_dir(environ)


def _named_state_dir(config: AgentConfig, environ: Mapping[str, str]) -> Path | None:
    named = config.state_dir or environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(named).expanduser().absolute() if named else None


def _users_state_dir(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "edgedyno"


def _usable(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state_dir: {folder} cannot be made: {error}", code="config.state_dir") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"state_dir: {folder} cannot be written", code="config.state_dir")
    return folder.resolve()
