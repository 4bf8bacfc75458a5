"""What the operator's commands show of attempts, priorities and reasons, and how they drain and remove boards."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.cli import boards as boards_command
from edgedyno.cli import jobs as jobs_command
from edgedyno.cli import results as results_command
from edgedyno.cli.boards import drain
from edgedyno.core.errors import ConfigError, EdgedynoError
from edgedyno.core.job import Retry
from tests.conftest import wait_until
from tests.controller.service.samples import message, result
from tests.protocol.conftest import submit, take
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from tests.controller.service.standins import Board
    from tests.protocol.controlled import Controlled


def url_of(controller: Controlled) -> str:
    """Return the address that the commands are given."""
    return f"http://127.0.0.1:{controller.config.listen_port}"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables be as wide as they are."""
    monkeypatch.setenv("COLUMNS", "400")


def shown(controller: Controlled, job: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what `jobs show` prints."""
    capsys.readouterr()
    jobs_command.show(job, url=url_of(controller), as_json=False)
    return capsys.readouterr().out


@rule("R34", "R42", "R61")
def test_attempts_retries_to_come_and_reasons_are_shown(
    controller: Controlled, board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    job = submit(controller, board, retry=Retry(device=1, backoff=500.0), priority=7)
    answer = take(board, job)
    assert "3 of infrastructure, 1 of device" in shown(controller, job, capsys)
    board.update(answer, "FAILED", reason="runner.died: 4 times")
    board.deliver(message(result(f"{job}.{board.name}"), 1, epoch=board.name))
    text = shown(controller, job, capsys)
    for words in ("QUEUED", "in ", "earlier attempts", "device", "runner.died: 4 times", "policy", "7"):
        assert words in text
    jobs_command.show(job, url=url_of(controller), as_json=True)
    (execution,) = json.loads(capsys.readouterr().out)["executions"]
    assert (execution["attempt"], execution["priority"], execution["late_results"]) == (2, 7, 1)
    assert 0 < execution["retry_in_seconds"] <= 500.0
    jobs_command.list_jobs(url=url_of(controller), as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if job in line]
    assert line.split()[2:6] == ["7", "1", "QUEUED", "1"]
    controller.call("POST", f"/jobs/{job}/cancel")


@rule("R53")
def test_a_drain_waits_for_what_runs(
    controller: Controlled, board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    waiting = threading.Thread(
        target=drain,
        args=(board.name,),
        kwargs={"drained": True, "wait": True, "url": url_of(controller), "as_json": False},
    )
    waiting.start()
    wait_until(lambda: controller.call("GET", f"/boards/{board.name}")["drained"], what="the drain")
    assert waiting.is_alive()
    board.update(answer, "SUCCEEDED")
    waiting.join(20)
    assert not waiting.is_alive()
    assert "nothing runs there any more" in capsys.readouterr().err


@rule("R36")
def test_a_board_is_removed_by_command(controller: Controlled, board: Board) -> None:
    where: dict[str, Any] = {"url": url_of(controller), "as_json": False}
    with pytest.raises(EdgedynoError, match="online: stop its agent first"):
        boards_command.remove(board.name, force=False, **where)
    boards_command.remove(board.name, force=True, **where)
    with pytest.raises(EdgedynoError, match="found no board"):
        boards_command.remove(board.name, force=True, **where)


def test_the_command_lists_what_is_flagged(
    controller: Controlled, board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    job = submit(controller, board)
    answer = take(board, job)
    for number in (1, 2):
        board.deliver(message(result(f"{job}.{board.name}"), number, epoch=board.name))
    board.update(answer, "SUCCEEDED")
    capsys.readouterr()
    results_command.list_flagged(job=job, board=None, url=url_of(controller), as_json=False)
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["flag", "counts", "board"]
    assert [row.split()[:3] for row in rows] == [["repeated", "no", board.name]]
    results_command.list_flagged(job=job, board="another", url=url_of(controller), as_json=True)
    assert json.loads(capsys.readouterr().out) == []
    with pytest.raises(ConfigError, match="--job"):
        results_command.list_flagged(job=None, board=None, url=url_of(controller), as_json=False)
