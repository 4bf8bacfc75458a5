"""Births, wills, removal: what a board says of itself, and whom the controller believes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.messages import Telemetry
from tests.conftest import wait_until
from tests.protocol.conftest import new_name, submit, take
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controller.service.standins import Board
    from tests.protocol.brokers import Broker
    from tests.protocol.controlled import Controlled
    from tests.protocol.listener import Listener


def online(controller: Controlled, board: str) -> bool:
    """Tell whether the controller takes a board to be there."""
    return bool(controller.call("GET", f"/boards/{board}")["online"])


@rule("R9")
def test_an_older_sessions_words_are_ignored(
    controller: Controlled, make_board: Callable[..., Board]
) -> None:
    board = make_board(session_epoch=7)
    wait_until(lambda: online(controller, board.name), what="birth")
    late = msgspec.structs.replace(board.state(online=False), session_epoch=6)
    board.send("state", late)
    board.next()
    assert online(controller, board.name)
    board.send("state", board.state(online=False))
    wait_until(lambda: not online(controller, board.name), what="the newest session's will")


@rule("R12")
def test_a_message_about_another_board_changes_nothing(
    controller: Controlled, board: Board, make_board: Callable[..., Board]
) -> None:
    other = make_board()
    board.send("state", other.state(online=False))
    board.send("tele", Telemetry(board=other.name, session_epoch=1, uptime_seconds=1.0))
    stranger = msgspec.structs.replace(board.state(), board="stranger")
    board.send("state", stranger)
    board.next()
    assert online(controller, other.name)
    assert controller.http.get("/boards/stranger").status_code == 404


@rule("R14", "R36")
def test_a_removed_board_ends_its_work_and_comes_back_with_its_birth(
    controller: Controlled, make_board: Callable[..., Board], listener: Listener
) -> None:
    board = make_board(session_epoch=5)
    runs = submit(controller, board)
    answer = take(board, runs)
    waits = submit(controller, board)
    refused = controller.http.delete(f"/boards/{board.name}")
    assert refused.json()["error"]["code"] == "board.online"
    controller.call("DELETE", f"/boards/{board.name}", params={"force": "yes"})
    assert controller.state(runs) == controller.state(waits) == "REMOVED"
    assert controller.execution(waits)["reason"] == "its board was removed from the fleet"
    assert board.renew(answer).error == "execution.ended"
    wait_until(lambda: listener.retained(board.name, "state") is None, what="the retained birth's end")
    board.send("state", board.state(online=False))
    board.next()
    assert controller.http.get(f"/boards/{board.name}").status_code == 404
    board.session_epoch = 1
    board.be_born()
    wait_until(lambda: controller.http.get(f"/boards/{board.name}").status_code == 200, what="its return")


@rule("R3", "R5", "R6")
def test_a_controller_finds_a_broker_that_forgot_everything_and_teaches_it(
    controller: Controlled, board: Board, broker: Broker, listener: Listener
) -> None:
    job = submit(controller, board)
    url = f"http://127.0.0.1:{controller.config.listen_port}"
    broker.kill()
    wait_until(lambda: controller.http.get("/healthz").status_code == 503, what="the controller noticing")
    broker.start()
    wait_until(lambda: controller.http.get("/healthz").status_code == 200, what="the controller's return")

    def taught() -> bool:
        state, rung = listener.retained("controller", "state"), listener.retained(board.name, "desired")
        here = state is not None and state["online"] and state["api_url"] == url
        return here and rung is not None and rung["execution"] == f"{job}.{board.name}"

    wait_until(taught, what="the controller's state and the doorbell")


@rule("R5")
def test_a_controller_says_when_it_goes(
    controller: Controlled, make_board: Callable[..., Board], listener: Listener
) -> None:
    make_board(new_name())
    controller.stop()
    try:
        said = listener.wait("controller", "state", lambda one: not one["online"])
        assert said["type"] == "controller"
    finally:
        controller.start()
    wait_until(lambda: (listener.retained("controller", "state") or {}).get("online"), what="its return")
