"""Where an MQTT broker is and how to log in to it: words of configurations. Connects to nothing."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

# The ports that IANA has assigned to MQTT and MQTT over TLS.
PLAIN_PORT, TLS_PORT = 1883, 8883

Port = Annotated[int, Meta(ge=1, le=65535)]


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """Files for TLS to the broker; without `ca_file` the system's authorities are trusted."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class Broker(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the MQTT broker is and how to log in. The password itself never stands here."""

    host: str = "localhost"
    port: Port | None = None
    username: str | None = None
    password_file: str | None = None
    tls: Tls | None = None

    @property
    def port_or_default(self) -> int:
        """The port to connect to."""
        return self.port or (TLS_PORT if self.tls else PLAIN_PORT)
