"""A broker for `edgedyno up`: mosquitto where it is installed, else the embedded one (extra `broker`)."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING

from edgedyno.core.errors import UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

MAX_PAYLOAD_BYTES = 16 * 2**20  # capabilities and manifests are larger than the embedded broker's 20 KiB

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
"""

# rumqttd's own names. MQTT 5 (v5) is what we speak; its defaults cut payloads at 20 KiB.
_RUMQTTD = """\
id = 0
[router]
max_connections = 10000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {max_payload}
max_inflight_count = 500
"""


def broker_command(folder: Path, port: int) -> tuple[str, list[str]]:
    """Write the broker's configuration into `folder`; return its name and its command line."""
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if mosquitto:
        path = folder / "mosquitto.conf"
        path.write_text(_MOSQUITTO.format(port=port))
        return "mosquitto", [mosquitto, "-c", str(path)]
    if importlib.util.find_spec("iotcore") is None:
        raise UnsupportedError(
            "no MQTT broker here: install mosquitto (apt install mosquitto) or: pip install iotcore",
            code="broker.missing",
        )
    path = folder / "rumqttd.toml"
    path.write_text(_RUMQTTD.format(port=port, max_payload=MAX_PAYLOAD_BYTES))
    code = "import sys; from iotcore import Broker; Broker(config_path=sys.argv[1]).run_forever()"
    return "iotcore (keeps nothing when it stops)", [sys.executable, "-c", code, str(path)]
