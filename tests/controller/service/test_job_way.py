"""One job on its whole way through a running service, by MQTT and HTTP, on both databases."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.core.messages import Progress
from tests.controller.service.samples import (
    IMAGE_BYTES,
    MODEL_BYTES,
    message,
    resolved_job,
    result,
    sha256,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from tests.controller.service.standins import Board, ScriptedLaboratory

Json = dict[str, Any]


async def eventually(check: Callable[[], Awaitable[object]], what: str) -> None:
    """Wait until `check` is true, at most 20 s."""
    for _ in range(400):
        if await check():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{what} did not come true")


async def upload(http: httpx.AsyncClient, *contents: bytes) -> None:
    """Upload artifacts."""
    for content in contents:
        answer = await http.put(f"/artifacts/{sha256(content)}", content=content)
        assert answer.status_code == 201, answer.text


async def submit(http: httpx.AsyncClient, **changes: Any) -> str:
    """Submit a job with its files and return its id."""
    await upload(http, MODEL_BYTES, IMAGE_BYTES)
    answer = await http.post("/jobs", content=msgspec.json.encode(resolved_job(**changes)))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job"])


async def job_state(http: httpx.AsyncClient, job: str) -> str:
    """Return a job's state."""
    return str((await http.get(f"/jobs/{job}")).json()["state"])


async def born(http: httpx.AsyncClient, board: Board) -> None:
    """Have a board known."""
    await asyncio.to_thread(board.be_born)

    async def known() -> bool:
        answer = await http.get(f"/boards/{board.name}")
        return answer.status_code == 200 and answer.json()["capabilities"] is not None

    await eventually(known, "birth")


async def test_a_job_goes_from_submission_to_verdict(
    http: httpx.AsyncClient, make_board: Callable[..., Board], laboratory: ScriptedLaboratory
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    job = await submit(http)
    execution = f"{job}.rpi4"

    async def rung() -> bool:
        return bool(board.desired) and board.desired[-1].execution == execution

    await eventually(rung, "doorbell")
    answer = await asyncio.to_thread(board.next)
    assert answer.record is not None
    assert answer.record.state == "IN_PROGRESS"
    assert answer.manifest is not None
    assert [variant.precision for variant in answer.manifest.variants] == ["fp32", "int8"]
    assert answer.manifest.images[0].file.sha256 == sha256(IMAGE_BYTES)
    assert laboratory.builds == [False]

    progress = Progress("measure", 1, 2, elapsed_seconds=3.0, eta_seconds=3.0)
    answer = await asyncio.to_thread(board.update, answer, "IN_PROGRESS", progress=progress)
    assert answer.error is None
    first, second = (result(execution, trial=trial) for trial in ("t1", "t2"))
    second = msgspec.structs.replace(second, precision="fp32")
    ack = await asyncio.to_thread(board.deliver, message(first, 1), message(second, 2))
    assert ack.refused == []
    view = (await http.get("/boards/rpi4")).json()
    assert view["execution"] == execution
    text = (await http.get("/metrics")).text
    assert 'edgedyno_execution_trials_done{board="rpi4"} 1.0' in text

    answer = await asyncio.to_thread(board.update, answer, "SUCCEEDED")
    assert answer.error is None
    assert answer.lease is None

    async def succeeded() -> bool:
        return await job_state(http, job) == "succeeded"

    await eventually(succeeded, "end of the job")

    async def judged() -> bool:
        return (
            'edgedyno_verdict_answer{answer="recommended",board="rpi4"' in (await http.get("/metrics")).text
        )

    await eventually(judged, "verdict, which is made just after the end")
    results = (await http.get("/results", params={"job": job})).json()["results"]
    assert [one["trial"] for one in results] == ["t1", "t2"]
    assert [one["accuracy"]["value"] for one in results] == [0.5, 0.5]
    verdicts = (await http.get(f"/jobs/{job}/verdict")).json()["verdicts"]
    assert [(one["board"], one["model"], one["recommended"]) for one in verdicts] == [
        ("rpi4", "tiny", ["t1"])
    ]
    assert laboratory.judged == 1, "the verdict made at the job's end is kept"
    await http.get(f"/jobs/{job}/verdict", params={"language": "zh"})
    assert [context.language for context in laboratory.contexts[:2]] == ["en", "zh"]
    refused = await http.get(f"/jobs/{job}/verdict", params={"language": "tlh"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "request.invalid")
    assert "2 results" in (await http.get(f"/jobs/{job}/report")).text
    asked = await http.get(f"/jobs/{job}/report", params={"language": "zh", "images": "no"})
    assert "<html lang=zh>" in asked.text
    assert "no images" in asked.text
    for wrong in ({"language": "tlh"}, {"images": "perhaps"}):
        refused = await http.get(f"/jobs/{job}/report", params=wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "request.invalid")
    page = await http.get(str(http.base_url.join("/")))
    assert job in page.text

    async def bell_is_quiet() -> bool:
        return board.desired[-1].execution is None

    await eventually(bell_is_quiet, "quiet doorbell")
    await check_metrics(http)


async def check_metrics(http: httpx.AsyncClient) -> None:
    """Have promtool read the metrics, and look at the job's."""
    text = (await http.get("/metrics")).text
    promtool = shutil.which("promtool") or "/usr/bin/promtool"
    done = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "metrics"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    cell = (
        'batch="1",board="rpi4",cores="all",model="tiny",precision="int8",runtime="onnxruntime",'
        'scenario="single-stream"'
    )
    lines = {line.partition(" ")[0]: line.partition(" ")[2] for line in text.splitlines()}
    names = {line.partition("{")[0] for line in lines}
    assert "edgedyno_result_latency_seconds{" + cell[:0] in "\n".join(lines)
    assert {"edgedyno_result_recommended", "edgedyno_result_valid", "edgedyno_result_info"} <= names
    found = {line: value for line, value in lines.items() if line.startswith("edgedyno_result_recommended")}
    assert sorted(found.values()) == ["0.0", "1.0"]
    assert lines['edgedyno_verdict_answer{answer="recommended",board="rpi4",model="tiny"}'] == "1.0"
    (chosen,) = [line for line in lines if line.startswith("edgedyno_verdict_recommended_info{")]
    assert 'goal="latency"' in chosen
    assert 'precision="int8"' in chosen
    assert lines['edgedyno_board_online{board="rpi4"}'] == "1.0"
    assert lines['edgedyno_executions{board="rpi4",state="SUCCEEDED"}'] == "1.0"
    assert lines["edgedyno_ingest_results_total"] == "2.0"
    assert lines["edgedyno_mqtt_connected"] == "1.0"
    assert "quantile=" not in text
