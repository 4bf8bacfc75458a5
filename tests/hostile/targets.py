"""Everything that reads what others wrote, each as the program itself calls it. A target takes bytes and may refuse."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.errors import EdgedynoError
from tests.hostile import seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a reader may raise: an error that is meant to be read. Anything else is a crash.
REFUSALS: tuple[type[Exception], ...] = (EdgedynoError, msgspec.MsgspecError)


@dataclass(frozen=True)
class Target:
    """One reader."""

    name: str
    open: Callable[[Path], contextlib.AbstractContextManager[Callable[[bytes], None]]]
    seeds: Callable[[], list[bytes]]
    weight: float = 1.0
    """Its share of all inputs; slow ones get less."""


@contextlib.contextmanager
def controller(folder: Path, leaf: str) -> Iterator[Callable[[bytes], None]]:
    """Open the controller's reception, over a database with a running execution."""
    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.inbox import Incoming
    from edgedyno.controller.presence import Presence
    from edgedyno.controller.reception import Reception
    from edgedyno.controller.store.database import Database
    from edgedyno.controller.store.migrate import migrate

    database = Database(f"sqlite:///{folder / 'store.sqlite3'}")
    migrate(database.engine)
    clock = FleetClock()
    reception = Reception(
        database,
        None,  # type: ignore[arg-type] # only `run` takes from it
        clock,
        Presence(clock.now),
        lambda _board, _leaf, _message: None,
        lease_seconds=60.0,
    )

    def take(payload: bytes) -> None:
        reception._take([Incoming(f"edgedyno/v1/{seeds.BOARD}/{leaf}", payload, 0.0)])

    for each in ("state", "caps"):
        reception._take([Incoming(f"edgedyno/v1/{seeds.BOARD}/{each}", seeds.from_board()[each][0], 0.0)])
    try:
        yield take
    finally:
        database.close()


@contextlib.contextmanager
def agent(folder: Path, leaf: str) -> Iterator[Callable[[bytes], None]]:
    """Open the daemon of a board with a pinned key, without its connection."""
    from edgedyno.agent.config import AgentConfig
    from edgedyno.agent.daemon import Daemon
    from edgedyno.agent.events import Received
    from edgedyno.controller.security.signing import open_signer
    from edgedyno.core import topics
    from edgedyno.core.messages import Next
    from tests.agent.fleet.samples import CAPABILITIES
    from tests.agent.fleet.test_trust import verify_here

    signer = open_signer(folder / "signing")
    state_dir = folder / "state"
    state_dir.mkdir()
    config = AgentConfig(board=seeds.BOARD, trusted_keys=[signer.public_key.public_key])
    daemon = Daemon(config, state_dir, CAPABILITIES, runner_command=("/bin/false",))
    daemon._trust._verify = verify_here
    topic = topics.CONTROLLER_STATE if leaf == "controller" else topics.of_board(seeds.BOARD, leaf)

    def take(payload: bytes) -> None:
        if leaf == "rsp/next":
            daemon._dialogue.ask(Next(request_id="q1"))
        daemon._received(Received(topic, payload, retained=True))
        if daemon._execution is not None:
            daemon._execution._forget()
            daemon._execution = None
        while not daemon._queue.empty():
            daemon._queue.get()

    try:
        yield take
    finally:
        daemon._end()


@contextlib.contextmanager
def plain(_folder: Path, read: Callable[[bytes], object]) -> Iterator[Callable[[bytes], None]]:
    """Open a function of bytes."""

    def take(data: bytes) -> None:
        read(data)

    yield take


@contextlib.contextmanager
def file(folder: Path, read: Callable[[Path], object], name: str) -> Iterator[Callable[[bytes], None]]:
    """Open a function of a file."""
    place = folder / name

    def take(data: bytes) -> None:
        place.write_bytes(data)
        read(place)

    yield take


def _job(data: bytes) -> object:
    from edgedyno.core.document import decode_yaml
    from edgedyno.core.job import JobSpec

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return decode_yaml(text, JobSpec, file="job.yaml")


def _submitted(data: bytes) -> object:
    from edgedyno.core.manifest import ResolvedJob

    try:
        return msgspec.json.decode(data, type=ResolvedJob)
    except (UnicodeDecodeError, RecursionError) as error:  # as api.parts.read_body takes it
        raise EdgedynoError(str(error)) from error


def _unpack(path: Path) -> None:
    from edgedyno.agent.runtimes.base import InferenceError
    from edgedyno.agent.runtimes.bundle import unpack

    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        with contextlib.suppress(InferenceError):
            unpack(str(path), scratch, ("model.param", "model.bin"))
        written = [one for one in path.parent.rglob("*") if one.is_file()]
        assert all(one == path or Path(scratch) in one.parents for one in written), (
            "it wrote outside of its folder"
        )
        assert sum(one.stat().st_size for one in written) < 200 << 20, "it unpacked a bomb"


def _predictions(data: bytes) -> None:
    from edgedyno.core.predictions import stream_predictions

    _, images = stream_predictions(BytesIO(data))
    for _ in images:
        pass


def _header(data: bytes) -> None:
    from edgedyno.core.vision.headers import is_truncated, stated_size

    size = stated_size(data)
    assert size is None or len(size) == 2
    is_truncated(data)


def _pixels(data: bytes) -> None:
    from edgedyno.core.vision.image import read_pixels

    read_pixels(data)


def _model(path: Path) -> object:
    from edgedyno.controller.lab.inspection import inspect_file

    return inspect_file(path)


def _topic(data: bytes) -> None:
    from edgedyno.core.topics import parse

    found = parse(data.decode("utf-8", "replace"))
    assert found is None or ("/" not in found[0] and found[0] not in ("..", "."))


def _quantity(data: bytes) -> None:
    from edgedyno.core.units import UNITS, parse_quantity

    for dimension in UNITS:
        with contextlib.suppress(EdgedynoError):
            parse_quantity(data.decode("utf-8", "replace"), dimension)


def _targets() -> Iterator[Target]:
    from functools import partial

    for leaf, found in seeds.from_board().items():
        stores = leaf in ("state", "caps", "req/update", "req/next")
        yield Target(
            f"to controller: {leaf}",
            partial(controller, leaf=leaf),
            partial(list, found),
            1.0 if stores else 2.0,
        )
    for leaf in ("desired", "ack", "state", "rsp/next", "rsp/get", "rsp/update", "rsp/renew", "controller"):
        yield Target(f"to board: {leaf}", partial(agent, leaf=leaf), partial(_for_board, leaf), 2.0)
    yield Target(
        "topic", partial(plain, read=_topic), lambda: [b"edgedyno/v1/board/rsp/next", b"edgedyno/v1/a/b"], 2.0
    )
    yield Target("quantity", partial(plain, read=_quantity), lambda: [b"100 ms", b"2%", b"1e3 fps"], 2.0)
    yield Target("job file", partial(plain, read=_job), seeds.job_files, 0.2)
    yield Target("submitted job", partial(plain, read=_submitted), _jobs, 2.0)
    yield Target("bundle", partial(file, read=_unpack, name="bundle"), seeds.bundles, 0.2)
    yield Target("predictions", partial(plain, read=_predictions), seeds.predictions, 0.2)
    yield Target("image header", partial(plain, read=_header), seeds.images, 4.0)
    yield Target("image", partial(plain, read=_pixels), seeds.images, 0.5)
    for name, data in seeds.model_files().items():
        yield Target(f"model file {name}", partial(file, read=_model, name=name), partial(list, [data]), 0.1)


def _for_board(leaf: str) -> list[bytes]:
    """Return messages for a board, signed with a key that it does not know; see `agent` for its own."""
    from edgedyno.controller.security.signing import open_signer

    with tempfile.TemporaryDirectory() as folder:
        return seeds.to_board(open_signer(Path(folder)))[leaf]


def _jobs() -> list[bytes]:
    from tests.controller.service.samples import resolved_job

    return [msgspec.json.encode(resolved_job())]


TARGETS: dict[str, Target] = {target.name: target for target in _targets()}
