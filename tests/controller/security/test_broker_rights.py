"""What a board's certificate can and cannot do on a real mosquitto, with the generated configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.controller.security.authority import Authority, read_certificate
from edgedyno.controller.security.broker_door import BrokerDoor
from edgedyno.controller.security.broker_files import tell_broker
from edgedyno.controller.security.broker_rights import KEEPER
from edgedyno.controller.security.certificates import Revoked
from edgedyno.core.topics import CONTROLLER_STATE, of_board
from tests.conftest import free_port
from tests.controller.security.broker import Probe, TlsMosquitto, all_leaves, context_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN_WRITES = ("state", "caps", "result", "tele", "req/next", "req/get", "req/update", "req/renew")
OWN_READS = ("desired", "rsp/+", "ack", "state")


@pytest.fixture(params=["acl", "dynsec"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TlsMosquitto]:
    """Start a broker with each kind of rights; it knows the boards a and b."""
    authority = Authority.ensure(tmp_path / "ca")
    made = TlsMosquitto(tmp_path / "broker", authority, dynsec=request.param == "dynsec", boards=["a", "b"])
    made.start()
    yield made
    made.kill()


def test_a_board_writes_its_own_topics_and_no_others(broker: TlsMosquitto) -> None:
    with broker.client("controller") as controller, broker.client("a") as board:
        controller.subscribe("edgedyno/v1/#")
        taken = {leaf for leaf in all_leaves() if board.publish(of_board("a", leaf), b"mine")}
        assert taken == {*OWN_WRITES, "req/other"}
        for topic in _foreign_topics():
            assert not board.publish(topic, b"forged", retain=True), topic
        controller.until(lambda: len(controller.messages) >= len(taken))
        controller.publish(of_board("z", "desired"), b"last")
        controller.until(lambda: (of_board("z", "desired"), b"last") in controller.messages)
        assert not [message for message in controller.messages if message[1] == b"forged"]


def _foreign_topics() -> Iterator[str]:
    for leaf in all_leaves():
        yield of_board("b", leaf)
        yield of_board("controller", leaf)
    yield from (CONTROLLER_STATE, "edgedyno/v2/a/state", "edgedyno/v1/a", "elsewhere", "$SYS/broker/version")
    yield from ("$CONTROL/dynamic-security/v1", "edgedyno/v1/A/state", "edgedyno/v1//state")


def test_a_board_hears_its_own_topics_and_no_others(broker: TlsMosquitto) -> None:
    with broker.client("controller") as controller, broker.client("a") as board:
        for leaf in OWN_READS:
            assert board.subscribe(of_board("a", leaf)), leaf
        assert board.subscribe(CONTROLLER_STATE)
        granted = [topic for topic in _foreign_filters() if board.subscribe(topic)]
        # A file of rights refuses nothing at the subscription; what is heard is what counts.
        assert granted == [] or not broker.dynsec
        for leaf in all_leaves():
            controller.publish(of_board("b", leaf), b"secret", retain=True)
        assert controller.publish(CONTROLLER_STATE, b"here")
        assert controller.publish(of_board("a", "rsp/next"), b"last")
        assert board.until(lambda: (of_board("a", "rsp/next"), b"last") in board.messages)
        assert {payload for _, payload in board.messages} == {b"here", b"last"}
    with broker.client("a") as again:
        for topic in _foreign_filters():
            again.subscribe(topic)
        again.subscribe(of_board("a", "ack"))
        with broker.client("controller") as controller:
            controller.publish(of_board("a", "ack"), b"last")
        assert again.until(lambda: (of_board("a", "ack"), b"last") in again.messages)
        assert not [message for message in again.messages if message[1] == b"secret"]


def _foreign_filters() -> Iterator[str]:
    for leaf in all_leaves():
        yield of_board("b", leaf)
    yield from (
        "#",
        "edgedyno/#",
        "edgedyno/v1/+/desired",
        "edgedyno/v1/b/#",
        "edgedyno/v1/+/rsp/+",
        "+/+/b/#",
    )
    yield from ("$share/g/edgedyno/v1/b/desired", "$share/g/edgedyno/v1/+/result", "$SYS/#")
    yield "$CONTROL/dynamic-security/v1/response"


def test_a_last_will_reaches_own_topics_only(broker: TlsMosquitto) -> None:
    with broker.client("controller") as controller:
        controller.subscribe("edgedyno/v1/#")
        broker.client("a", will=of_board("b", "state")).vanish()
        broker.client("b", will=of_board("b", "state")).vanish()
        assert controller.until(lambda: controller.messages)
        controller.publish(of_board("z", "desired"), b"last")
        controller.until(lambda: (of_board("z", "desired"), b"last") in controller.messages)
        assert controller.messages.count((of_board("b", "state"), b"forged")) == 1


def test_a_board_cannot_take_anothers_place(broker: TlsMosquitto) -> None:
    with broker.client("a", client_id="edgedyno-a") as board:
        for stolen in ("edgedyno-a", "a"):
            with broker.client("b", client_id=stolen) as thief:
                assert not thief.ended
        assert board.publish(of_board("a", "tele"))


def test_without_a_certificate_nobody_comes_in(broker: TlsMosquitto) -> None:
    assert Probe(broker.port, context_of(broker.ca_file, None)).ended


def test_anothers_certificate_is_refused(broker: TlsMosquitto, tmp_path: Path) -> None:
    Authority.ensure(tmp_path / "other").identity(tmp_path / "fake", "a")
    assert Probe(broker.port, context_of(broker.ca_file, tmp_path / "fake")).ended


def test_an_ended_certificate_is_refused(broker: TlsMosquitto, tmp_path: Path) -> None:
    Authority.ensure(tmp_path / "ca").identity(tmp_path / "old", "a", seconds=-1)
    assert Probe(broker.port, context_of(broker.ca_file, tmp_path / "old")).ended


def test_a_servers_certificate_is_no_boards(broker: TlsMosquitto, tmp_path: Path) -> None:
    Authority.ensure(tmp_path / "ca").server(tmp_path / "fake", ["a"])
    assert Probe(broker.port, context_of(broker.ca_file, tmp_path / "fake")).ended


def test_a_revoked_board_is_out_and_its_connection_ends(broker: TlsMosquitto) -> None:
    certificate = read_certificate(broker.identity("a") / "cert.pem")
    assert certificate is not None
    door = BrokerDoor("127.0.0.1", broker.port)
    with broker.client("a") as board, broker.client("b") as other:
        broker.revoke([Revoked(certificate.serial_number, 0.0)])
        assert tell_broker(broker.pid_file)
        if broker.dynsec:
            assert door.set_boards(context_of(broker.ca_file, broker.identity(KEEPER)), ["b"]) == ["a"]
        else:
            _end_connection(broker, door)
        assert board.until(lambda: board.ended)
        assert broker.client("a").ended
        assert other.publish(of_board("b", "tele"))


def _end_connection(broker: TlsMosquitto, door: BrokerDoor) -> None:
    folder = broker.folder / "short"
    Authority.ensure(broker.folder.parent / "ca").identity(folder, "a", seconds=60.0)
    door.end_connection(context_of(broker.ca_file, folder))


def test_the_plugin_alone_takes_rights_away_and_gives_them(tmp_path: Path) -> None:
    broker = TlsMosquitto(tmp_path / "broker", Authority.ensure(tmp_path / "ca"), dynsec=True)
    broker.start()
    try:
        door, keeper = (
            BrokerDoor("127.0.0.1", broker.port),
            context_of(broker.ca_file, broker.identity(KEEPER)),
        )
        with broker.client("a") as board:
            assert not board.publish(of_board("a", "tele"))
        assert door.set_boards(keeper, ["a", "b"]) == ["a", "b"]
        assert door.set_boards(keeper, ["a", "b"]) == []
        with broker.client("a") as board:
            assert board.publish(of_board("a", "tele"))
            assert door.set_boards(keeper, ["b"]) == ["a"]
            assert board.until(lambda: board.ended)
        with broker.client("a") as board:  # its certificate is good: the list was not changed
            assert not board.publish(of_board("a", "tele"))
        broker.kill()
        broker.start()
        with broker.client("b") as board:
            assert board.publish(of_board("b", "tele"))
    finally:
        broker.kill()


def test_the_keeper_does_nothing_but_keep(tmp_path: Path) -> None:
    broker = TlsMosquitto(tmp_path / "broker", Authority.ensure(tmp_path / "ca"), dynsec=True, boards=["a"])
    broker.start()
    try:
        with broker.client(KEEPER) as keeper:
            assert not keeper.publish(of_board("a", "desired"))
    finally:
        broker.kill()


def test_a_broker_that_is_away_is_told_so(tmp_path: Path) -> None:
    from edgedyno.core.errors import RetryableError

    authority = Authority.ensure(tmp_path / "ca")
    authority.identity(tmp_path / "keeper", KEEPER)
    (tmp_path / "ca.pem").write_bytes(authority.bundle())
    with pytest.raises(RetryableError, match="broker"):
        BrokerDoor("127.0.0.1", free_port()).set_boards(
            context_of(tmp_path / "ca.pem", tmp_path / "keeper"), ["a"]
        )
