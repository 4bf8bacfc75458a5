"""The TLS contexts of the controller: its HTTPS server and its connection to the broker."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def server_context(*, ca_file: Path, list_file: Path, identity: Path) -> ssl.SSLContext:
    """Return a context that takes clients with a good certificate, and clients without any.

    `identity` has key.pem and cert.pem. A certificate that has ended, is revoked or is another CA's ends the
    handshake. Raises ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    # A resumed session would skip the list of revoked certificates.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    refresh(context, ca_file=ca_file, list_file=list_file, identity=identity)
    return context


def refresh(context: ssl.SSLContext, *, ca_file: Path, list_file: Path, identity: Path) -> None:
    """Have connections from now on use what is in the files; lists add up, the newest counts."""
    try:
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
        context.load_verify_locations(cafile=str(ca_file))
        context.load_verify_locations(cafile=str(list_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{identity}, {ca_file}, {list_file}: {error}", code="security.files") from error


def client_context(*, ca_file: Path, identity: Path) -> ssl.SSLContext:
    """Return a context for a connection to the broker. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{identity}, {ca_file}: {error}", code="security.files") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
