"""A rollout with nothing scripted: real agents, runners and models, and a controller that is killed in its middle."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.conftest import wait_until
from tests.rollout.fleet import RolloutFleet

if TYPE_CHECKING:
    from pathlib import Path

BOARDS = ("board-a", "board-b", "board-c")


@pytest.mark.long
def test_a_real_model_goes_from_the_canary_to_all_boards(tmp_path: Path) -> None:
    fleet = RolloutFleet(tmp_path)
    try:
        fleet.broker.start()
        fleet.start_controller()
        for board in BOARDS:
            fleet.start_agent(board, real=True)
        fleet.wait_online(*BOARDS)
        more = "measure: {precision: 50%, max_seconds: 2}\nrollout: {canary: 1, max_boards: 1}"
        job = fleet.submit(more)
        wait_until(lambda: fleet.running(job) == ["board-a"], seconds=90, what="the canary's start")
        fleet.kill("controller")
        fleet.start_controller()
        most = 0

        def ended() -> bool:
            nonlocal most
            most = max(most, len(fleet.running(job)))
            return bool(fleet.job(job)["state"] != "active")

        wait_until(ended, seconds=280, what="the end")
        assert fleet.job(job)["state"] == "succeeded", fleet.job(job)
        assert most == 1
        results = fleet.get(f"/results?job={job}")["results"]
        assert Counter(result["board"] for result in results) == dict.fromkeys(BOARDS, 1)
        assert {result["status"] for result in results} == {"ok"}
    finally:
        fleet.stop_all()
