"""What each MQTT user may write and read, and the same as mosquitto's files say it. Talks to no broker.

A user is the common name of a client certificate: a board's id, `controller`, or `controller@NAME` for a further
controller. No board can have such a name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgedyno.core.errors import UnsupportedError
from edgedyno.core.topics import CONTROLLER_STATE, ROOT, of_board

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTROLLER = "controller"
KEEPER = "keeper@controller"
"""The connection by which boards are let in and thrown out."""
BOARD_WRITES = ("state", "caps", "req/+", "result", "tele")
BOARD_READS = ("desired", "rsp/+", "ack", "state")
CONTROL = "$CONTROL/dynamic-security/v1"
_ROLE = "edgedyno-board-"
_CONTROLLER_ROLE, _KEEPER_ROLE = "edgedyno-controller", "edgedyno-keeper"
# mosquitto keeps what it has acknowledged in memory and writes it out at these times: docs/enrolment.md says
# what a crash still costs. Agents keep their results until the controller has them, whatever the broker does.
_SETTINGS = """\
per_listener_settings false
allow_anonymous false
persistence true
persistence_location {state}/
autosave_on_changes true
autosave_interval {changes}
# Requests and their answers are small: waiting to fill a packet would only delay them.
set_tcp_nodelay true
max_packet_size 16777216
max_inflight_messages 100
# For a client that is slow or away; beyond, mosquitto drops the newest, and the protocol sends it again.
max_queued_messages 10000
max_queued_bytes 67108864
# A session that does not come back for this long is forgotten, with its queue.
persistent_client_expiration 7d
log_dest stdout
log_type error
log_type warning
log_type notice
"""
_LISTENER = """
listener {port}{address}
cafile {folder}/ca.pem
certfile {folder}/server/cert.pem
keyfile {folder}/server/key.pem
crlfile {folder}/crl.pem
tls_version tlsv1.2
require_certificate true
# The certificate's common name is the user, and the client id as well: so no board can take another's place.
use_identity_as_username true
use_username_as_clientid true
"""
CHANGES = 100
# Where Debian's multiarch folders, Alpine's and the image eclipse-mosquitto have the plugin.
_PLUGIN_PLACES = (
    "/usr/lib/*-linux-*/mosquitto_dynamic_security.so",
    "/usr/lib/mosquitto_dynamic_security.so",
)


class BrokerFiles(Struct, frozen=True):
    """What a broker's configuration is made of."""

    folder: str
    """Where mosquitto sees the files."""
    port: int = 8883
    address: str | None = None
    """None: every address of the machine."""
    user: str | None = None
    """Who mosquitto becomes when root starts it."""
    state: str = "/var/lib/mosquitto"
    pid_file: str | None = None
    """Where mosquitto writes its process id, by which the controller tells it that files have changed."""
    controllers: list[str] = []
    """Names of further controllers, as each one's `controller_name` has it."""
    plugin: str | None = None
    """Given: rights by this dynamic security plugin, else by a file."""


def find_plugin() -> str:
    """Return where this machine's mosquitto has its dynamic security plugin. Raises UnsupportedError."""
    found = sorted(file for pattern in _PLUGIN_PLACES for file in Path("/").glob(pattern.lstrip("/")))
    if not found:
        raise UnsupportedError(
            f"found no dynamic security plugin at {' or '.join(_PLUGIN_PLACES)}; name it by --plugin FILE, or "
            "leave --dynsec out",
            code="broker.plugin",
        )
    return str(found[0])


def mosquitto_conf(files: BrokerFiles) -> str:
    """Return mosquitto's configuration."""
    lines = [
        "# Made by `edgedyno controller broker-config`: the next one replaces it.",
        _SETTINGS.format(state=files.state.rstrip("/"), changes=CHANGES).rstrip(),
    ]
    if files.user is not None:
        lines.append(f"user {files.user}")
    if files.pid_file is not None:
        lines.append(f"pid_file {files.pid_file}")
    if files.plugin is None:
        lines.append(f"acl_file {files.folder}/acl")
    else:
        lines += [f"plugin {files.plugin}", f"plugin_opt_config_file {files.folder}/dynsec.json"]
    address = f" {files.address}" if files.address else ""
    return "\n".join(lines) + "\n" + _LISTENER.format(port=files.port, address=address, folder=files.folder)


def user_of(name: str | None) -> str:
    """Return the MQTT user of a controller."""
    return CONTROLLER if name is None else f"{CONTROLLER}@{name}"


def acl_text(controllers: Iterable[str] = ()) -> str:
    """Return the rights as mosquitto's acl_file has them; `%u` is the user."""
    lines = ["# Made by `edgedyno controller broker-config`."]
    for name in (None, *controllers):
        lines += [f"user {user_of(name)}", f"topic readwrite {ROOT}/#"]
    lines += ["", "# A board writes and reads its own topics only."]
    lines += [f"pattern write {of_board('%u', leaf)}" for leaf in BOARD_WRITES]
    lines += [f"pattern read {of_board('%u', leaf)}" for leaf in BOARD_READS]
    lines += [f"pattern read {CONTROLLER_STATE}"]
    return "\n".join(lines) + "\n"


def board_role(board: str) -> dict[str, Any]:
    """Return the role of one board, as the dynamic security plugin has roles."""
    acls = [_acl("publishClientSend", of_board(board, leaf)) for leaf in BOARD_WRITES]
    for topic in [of_board(board, leaf) for leaf in BOARD_READS] + [CONTROLLER_STATE]:
        acls += [_acl("publishClientReceive", topic), _acl("subscribeLiteral", topic)]
    return {"rolename": role_of(board), "acls": acls}


def role_of(board: str) -> str:
    """Return the name of a board's role."""
    return _ROLE + board


def board_of_role(role: str) -> str | None:
    """Return the board whose role this is."""
    return role.removeprefix(_ROLE) if role.startswith(_ROLE) else None


def dynsec_json(boards: Iterable[str], controllers: Iterable[str] = ()) -> str:
    """Return what the plugin starts with; afterwards it writes its file itself, as it is told over MQTT."""
    boards = sorted(boards)
    document = {
        "defaultACLAccess": {
            "publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True,
        },
        "clients": [
            *(
                {"username": user_of(name), "roles": [{"rolename": _CONTROLLER_ROLE}]}
                for name in (None, *controllers)
            ),
            {"username": KEEPER, "roles": [{"rolename": _KEEPER_ROLE}]},
            *({"username": board, "roles": [{"rolename": role_of(board)}]} for board in boards),
        ],
        "groups": [],
        "roles": [
            {"rolename": _CONTROLLER_ROLE, "acls": _all(f"{ROOT}/#")},
            {"rolename": _KEEPER_ROLE, "acls": _all("$CONTROL/dynamic-security/#")},
            *(board_role(board) for board in boards),
        ],
    }  # fmt: skip
    return json.dumps(document, indent=2) + "\n"


def admit_commands(board: str) -> list[dict[str, Any]]:
    """Return the plugin's commands that give a board its rights."""
    return [
        {"command": "createRole", **board_role(board)},
        {"command": "createClient", "username": board, "roles": [{"rolename": role_of(board)}]},
    ]


def expel_commands(board: str) -> list[dict[str, Any]]:
    """Return the plugin's commands that take a board's rights away and end its connection.

    Disabling is not enough: mosquitto 2.0.11 lets a disabled client with a good certificate come back.
    """
    return [
        {"command": "deleteClient", "username": board},
        {"command": "deleteRole", "rolename": role_of(board)},
    ]


def _all(topic: str) -> list[dict[str, Any]]:
    return [_acl(kind, topic) for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")]


def _acl(kind: str, topic: str) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": True}
