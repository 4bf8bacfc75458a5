"""The controller's configuration: defaults, a YAML file, EDGEDYNO_* environment, flags. Starts nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from edgedyno.core.document import decode_yaml
from edgedyno.core.errors import ConfigError
from edgedyno.core.units import Bytes, Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = Path("/etc/edgedyno/controller.yaml")
DATABASE_NAME = "controller.sqlite3"
Port = Annotated[int, Meta(ge=0, le=65535)]


class ControllerConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that the service can be told."""

    data_dir: str = "/var/lib/edgedyno"
    """Artifacts, and the database unless `database_url` is given."""
    database_url: str | None = None
    """An SQLAlchemy URL; None is an SQLite file in `data_dir`."""
    broker_host: str = "127.0.0.1"
    broker_port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    broker_username: str | None = None
    broker_password_file: str | None = None
    """A file, because command lines and environments can be read by others."""
    broker_ca_file: str | None = None
    """Given: TLS, and the broker's certificate must be signed by one of these."""
    broker_cert_file: str | None = None
    broker_key_file: str | None = None
    broker_tls: bool = False
    """TLS to the broker with a certificate of the controller's own CA, made and renewed by itself."""
    controller_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] | None = None
    """Tells several controllers at one broker apart, where that knows them by their certificates."""
    broker_dir: str | None = None
    """What `controller broker-config` wrote: its certificate and its list of revoked ones are kept up to date."""
    broker_pid_file: str | None = None
    """The broker's process, which is told by SIGHUP when its files have changed."""
    broker_dynsec: bool = False
    """Whether boards' rights are told to mosquitto's dynamic security plugin."""
    boards_broker: str | None = None
    """HOST or HOST:PORT of the broker as boards reach it; None: the controller's own host, port 8883."""
    mqtt_protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """`auto` takes MQTT 5, and 3.1.1 at a broker that does not speak it."""
    mqtt_client_id: str | None = None
    shared_group: str | None = None
    """Given: results and requests come by shared subscription, for several replicas on PostgreSQL."""
    take_over: bool = False
    """Whether to serve a broker that another database's controller has served, once that one is offline."""
    listen_host: str = "127.0.0.1"
    listen_port: Port = 8080
    """0 takes a free port."""
    tls: bool = False
    """HTTPS, with a certificate of the controller's own CA; boards are let in by theirs."""
    server_names: list[str] = []
    """Further host names and addresses by which the HTTPS API is reached."""
    security_dir: str | None = None
    """Keys and certificates; None: `security` in `data_dir`."""
    certificate_lifetime: Seconds = 90.0 * 86_400
    """Of a board's certificate; it is renewed at two thirds of it."""
    public_url: str | None = None
    """What boards use to reach the HTTP API; None: what is listened on."""
    lease_seconds: Seconds = 60.0
    """How long a board may run an execution without renewing its lease."""
    cancel_seconds: Seconds = 120.0
    """How long a board may take to end what is canceled before the controller ends it by force."""
    max_artifact_bytes: Bytes = 2.0 * 2**30
    max_unnamed_bytes: Bytes = 8.0 * 2**30
    """Of artifacts that a board with a certificate may have brought before its results name them."""
    max_request_bytes: Bytes = 16.0 * 2**20
    """For a request body that is not an artifact; a job with 50,000 images takes 9 MB."""
    allow_anonymous: bool = False
    """Whether whoever reaches the API may do everything without a token; for a network that is trusted wholly."""
    open_metrics: bool = False
    """Whether `/metrics` may be read without a token."""
    requests_per_second: Annotated[float, Meta(gt=0)] = 500.0
    """Of one token, board or address, in the long run."""
    requests_at_once: Annotated[float, Meta(ge=1)] = 2000.0
    max_connections: Annotated[int, Meta(ge=8, le=100_000)] = 2000
    """HTTP connections at one time; beyond, requests are answered 503."""
    inbox_messages: Annotated[int, Meta(ge=100, le=1_000_000)] = 10_000
    """Messages that may wait for the database before the broker is made to wait."""
    signing_dir: str | None = None
    """Folder of the keys that sign manifests; None: `signing` in `data_dir`. Replicas share one."""
    builders: dict[str, str] = {}
    """By format (ncnn, openvino, tflite, mnn, rknn) the interpreter with the tools that build it."""

    @property
    def url(self) -> str:
        """Return the database's URL."""
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / DATABASE_NAME}"

    @property
    def artifacts_dir(self) -> Path:
        """Return the folder of the artifact store."""
        return Path(self.data_dir) / "artifacts"

    @property
    def security_folder(self) -> Path:
        """Return the folder of keys and certificates."""
        return Path(self.security_dir) if self.security_dir else Path(self.data_dir) / "security"

    @property
    def signing_folder(self) -> Path:
        """Return the folder of the signing keys."""
        return Path(self.signing_dir) if self.signing_dir else Path(self.data_dir) / "signing"

    def broker_password(self) -> str | None:
        """Read the broker's password."""
        if self.broker_password_file is None:
            return None
        try:
            return Path(self.broker_password_file).read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise ConfigError(
                f"broker_password_file: {error.strerror}: {self.broker_password_file}", code="config.password"
            ) from error


def load_config(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> ControllerConfig:
    """Return the configuration: flags before EDGEDYNO_* before the file before the defaults.

    A file that was named must exist; the default one need not. Raises ConfigError.
    """
    values = _read_file(path)
    values |= _read_environ(os.environ if environ is None else environ)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return msgspec.convert(values, ControllerConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"controller configuration: {error}", code="config.invalid") from error


def _read_file(path: Path | None) -> dict[str, Any]:
    file = path or DEFAULT_FILE
    if path is None and not file.is_file():
        return {}
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}", code="config.file") from error
    config = decode_yaml(text, ControllerConfig, file=str(file))
    return {name: getattr(config, name) for name in yaml.safe_load(text)}


def _read_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in EDGEDYNO_<NAME>, read as YAML scalars with units."""
    values: dict[str, Any] = {}
    for name in ControllerConfig.__struct_fields__:
        variable = f"EDGEDYNO_{name.upper()}"
        if variable in environ:
            text = f"{name}: {environ[variable]}"
            values[name] = getattr(decode_yaml(text, ControllerConfig, file=variable), name)
    return values
