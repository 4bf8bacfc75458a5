"""The controller's signing keys from the operator's side."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from edgedyno.cli.output import print_json, say
from edgedyno.controller.config import load_config

if TYPE_CHECKING:
    from pathlib import Path


def show(config_file: Path | None, *, as_json: bool) -> None:
    """Print the public keys; the first one is made where there is none."""
    from edgedyno.controller.security.signing import open_signer, public_keys

    folder = load_config(config_file).signing_folder
    open_signer(folder)
    keys = public_keys(folder)
    if as_json:
        print_json([{"state": state, **msgspec.to_builtins(key)} for state, key in keys])
        return
    for state, key in keys:
        say(f"{state}  {key.key_id}")
        sys.stdout.write(key.public_key + "\n")


def rotate(config_file: Path | None, *, activate: bool) -> None:
    """Prepare or finish a rotation."""
    from edgedyno.controller.security.signing import finish_rotation, open_signer, prepare_rotation

    folder = load_config(config_file).signing_folder
    open_signer(folder)
    if activate:
        key = finish_rotation(folder)
        say(f"{key.key_id} signs from the controller's next start on; the key before is pinned until then")
    else:
        key = prepare_rotation(folder)
        say(f"made {key.key_id}; the current key goes on signing")
        say(
            "enrolled boards pin it with their next renewal (two thirds of certificate_lifetime at most); pin it on"
        )
        say("others beside the current key; when all have it: signing-key rotate --activate")
    sys.stdout.write(key.public_key + "\n")
