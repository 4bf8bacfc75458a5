"""Checks one signature and ends: a process of its own, because what it imports would stay in the daemon.

Reads `{"public_key", "signature", "message"}` (base64) on stdin. Exit code: 0 good, 1 not, anything else no answer.
"""

from __future__ import annotations

import base64
import json
import sys


def main() -> int:
    """Check what comes on stdin."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    asked = {name: base64.b64decode(text) for name, text in json.load(sys.stdin).items()}
    try:
        Ed25519PublicKey.from_public_bytes(asked["public_key"]).verify(asked["signature"], asked["message"])
    except InvalidSignature:
        return 1
    return 0


if __name__ == "__main__":
    # An import that fails ends with Python's own 1: a bad signature has to be told from that.
    try:
        code = main()
    except Exception as error:  # noqa: BLE001 - the process's boundary; its parent shows this line
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        code = 3
    sys.exit(code)
