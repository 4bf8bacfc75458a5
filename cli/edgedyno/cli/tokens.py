"""API tokens from the operator's side: made and revoked beside the database, kept by users, found for a request."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from edgedyno.cli.output import print_json, print_table, say
from edgedyno.controller.config import load_config
from edgedyno.core.errors import ConfigError
from edgedyno.core.units import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgedyno.controller.security.tokens import Scope


def create(name: str, scope: Scope, expires: str | None, config_file: Path | None) -> None:
    """Make a token and print its secret, once."""
    from edgedyno.controller.security.tokens import create_token

    lifetime_seconds = None if expires is None else parse_quantity(expires, "time")
    if lifetime_seconds is not None and lifetime_seconds <= 0:
        raise ConfigError(f"--expires: found {expires!r}, expected a time such as 90d", code="token.expires")
    secret = _in_database(config_file, create_token, name, scope, lifetime_seconds=lifetime_seconds)
    say(f"token {name!r}, scope {scope}; it is shown this once:")
    sys.stdout.write(secret + "\n")


def list_all(config_file: Path | None, *, as_json: bool) -> None:
    """List tokens, without their secrets."""
    from edgedyno.controller.security.tokens import read_tokens

    tokens = list(_in_database(config_file, read_tokens).values())
    if as_json:
        print_json(msgspec.to_builtins(tokens))
        return
    now_unix = datetime.now(timezone.utc).timestamp()
    rows = []
    for token in tokens:
        state = "revoked" if token.revoked else "valid" if token.valid(now_unix) else "expired"
        rows.append([token.name, token.scope, token.created_utc, _day(token.expires_at_unix), state])
    print_table("tokens", ["name", "scope", "made", "expires", "state"], rows)


def revoke(name: str, config_file: Path | None) -> None:
    """Revoke a token."""
    from edgedyno.controller.security.tokens import FRESH_SECONDS, revoke_token

    _in_database(config_file, revoke_token, name)
    say(f"token {name!r} opens nothing any more, in a running controller within {FRESH_SECONDS:g} s")


def login(url: str, secret: str) -> None:
    """Keep a token for a controller's address, after the controller has accepted it."""
    from edgedyno.cli.client import Controller

    with Controller(url, token=secret) as controller:
        controller.call("GET", "/boards")
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        say(f"note: {url} is not encrypted: who sees the network sees the token")
    kept = {**_kept(), origin(url): secret}
    file = tokens_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:  # noqa: PTH123 - the mode is what matters
        json.dump(kept, target, indent=2)
    new.replace(file)
    say(f"the token for {origin(url)} is kept in {file}")


def find_token(url: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return a controller's token: EDGEDYNO_TOKEN, EDGEDYNO_TOKEN_FILE, else what `login` kept for its address."""
    environ = os.environ if environ is None else environ
    if environ.get("EDGEDYNO_TOKEN"):
        return environ["EDGEDYNO_TOKEN"].strip()
    named = environ.get("EDGEDYNO_TOKEN_FILE")
    if named:
        return read_secret(Path(named))
    return _kept().get(origin(url))


def read_secret(file: Path) -> str:
    """Return a token from a file. Raises ConfigError."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token's file {file} cannot be read: {error}", code="token.file") from error


def origin(url: str) -> str:
    """Return scheme, host and port: a token goes to the controller that it was kept for, and to no other."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def tokens_file() -> Path:
    """Return the file with this user's tokens."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "edgedyno" / "tokens.json"


def _kept() -> dict[str, str]:
    file = tokens_file()
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{file}: {error}; remove it and log in again", code="token.file") from error


def _in_database(config_file: Path | None, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    from edgedyno.controller.main import in_database

    return in_database(load_config(config_file), function, *args, **kwargs)


def _day(unix: float | None) -> str:
    if unix is None:
        return "never"
    return datetime.fromtimestamp(unix, timezone.utc).isoformat(timespec="minutes")
