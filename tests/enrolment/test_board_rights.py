"""A fleet of real daemons with certificates: what one's certificate opens for it, and a renewal while a job runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.agent.identity import TRUSTED, identity_folder, read_identity
from edgedyno.agent.main import main
from edgedyno.controller.security.signing import finish_rotation, open_signer, prepare_rotation
from edgedyno.core.signing import TrustedKeys
from edgedyno.core.targets import BoardSelector
from tests.agent.fleet.conftest import AgentProcess
from tests.controller.service.samples import IMAGE_BYTES, MODEL_BYTES, resolved_job, sha256
from tests.enrolment.identities import Site, running_site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

VARIANTS = [f"onnx {precision} False".encode() for precision in ("fp32", "int8")]
# Every route that is no board's: method and path below the prefix.
OTHER_ROUTES = [
    ("GET", "/jobs"), ("GET", "/jobs/x"), ("POST", "/jobs"), ("POST", "/jobs/x/cancel"), ("POST", "/jobs/x/retry"),
    ("GET", "/jobs/x/verdict"), ("GET", "/jobs/x/report"), ("GET", "/results"), ("GET", "/siblings"),
    ("GET", "/boards"), ("GET", "/boards/b"), ("PATCH", "/boards/b"), ("POST", "/boards/b/revoke"),
    ("POST", "/enrolments"), ("POST", "/artifacts/missing"),
]  # fmt: skip


async def start_board(site: Site, name: str, **script: Any) -> AgentProcess:
    """Enrol a board and start its daemon, which knows nothing but its identity."""
    folder = site.folder / name
    state_dir = await site.enrol(name)
    agent = await asyncio.to_thread(_configured, folder, state_dir)
    agent.script(**script)
    await asyncio.to_thread(agent.start)
    return agent


def _configured(folder: Path, state_dir: Path) -> AgentProcess:
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir()
    return AgentProcess(home, None, state_dir=str(state_dir), heartbeat="1 s")


async def eventually(check: Callable[[], Any], what: str, *, seconds: float = 60.0) -> Any:
    """Wait until `check` gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := await check():
            return found
        await asyncio.sleep(0.05)
    pytest.fail(f"{what} did not come true")


async def submit(http: httpx.AsyncClient, board: str) -> str:
    """Submit a job for one board, with all that its manifest names, and return its id."""
    for content in (MODEL_BYTES, IMAGE_BYTES, *VARIANTS):
        assert (await http.put(f"/artifacts/{sha256(content)}", content=content)).status_code in (200, 201)
    job = resolved_job(boards=BoardSelector(ids=[board]))
    answer = await http.post("/jobs", content=msgspec.json.encode(job))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job"])


async def online(http: httpx.AsyncClient, *names: str) -> None:
    """Wait until boards are there."""

    async def there() -> bool:
        boards = (await http.get("/boards")).json()["boards"]
        return {one["board"] for one in boards if one["online"] and one["capabilities"]} >= set(names)

    await eventually(there, f"{names} online")


async def test_a_certificate_opens_its_own_executions_files_only(tmp_path: Path) -> None:
    async with running_site(tmp_path, broker=True) as site, site.http() as http:
        agents = [
            await start_board(site, "a", trials=40, pause_seconds=0.25, samples=True),
            await start_board(site, "b"),
        ]
        try:
            await online(http, "a", "b")
            job = await submit(http, "a")

            async def running() -> bool:
                return bool((await http.get(f"/results?job={job}")).json()["results"])

            await eventually(running, "first result")
            own, other = (identity_folder(tmp_path / name) for name in ("a", "b"))
            async with site.http(own) as mine, site.http(other) as foreign:
                await _check_artifacts(mine, foreign)
                for method, path in OTHER_ROUTES:
                    for client in (mine, foreign):
                        answer = await client.request(method, path, json={})
                        assert answer.status_code == 403, (method, path, answer.text)
                await http.post(f"/jobs/{job}/cancel")

                async def over() -> bool:
                    return (await http.get(f"/jobs/{job}")).json()["state"] not in ("building", "active")

                await eventually(over, "job over")
                assert (await mine.get(f"/artifacts/{sha256(IMAGE_BYTES)}")).status_code == 403
        finally:
            for agent in agents:
                await asyncio.to_thread(agent.stop)


async def _check_artifacts(mine: httpx.AsyncClient, foreign: httpx.AsyncClient) -> None:
    for content in (IMAGE_BYTES, *VARIANTS):
        assert (await mine.get(f"/artifacts/{sha256(content)}")).content == content
        for answer in (
            await foreign.get(f"/artifacts/{sha256(content)}"),
            await foreign.head(f"/artifacts/{sha256(content)}"),
            await foreign.get(f"/artifacts/{sha256(content)}", headers={"range": "bytes=0-1"}),
        ):
            assert answer.status_code == 403
    # The user's source model is nobody's: boards get variants of it.
    assert (await mine.get(f"/artifacts/{sha256(MODEL_BYTES)}")).status_code == 403
    # Whether there is such a file is not told either.
    assert (await foreign.get(f"/artifacts/{sha256(b'no such')}")).status_code == 403
    brought = b"what a result will name"
    assert (await foreign.put(f"/artifacts/{sha256(brought)}", content=brought)).status_code == 403
    assert (await mine.put(f"/artifacts/{sha256(brought)}", content=brought)).status_code == 201
    assert (await mine.head(f"/artifacts/{sha256(brought)}")).status_code == 200
    assert (await foreign.head(f"/artifacts/{sha256(brought)}")).status_code == 403


async def test_a_check_leaves_the_agent_that_runs_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check() -> tuple[int, str]:
        code = main(["run", "--check", "--state-dir", str(tmp_path / "a")])
        return code, capsys.readouterr().err

    async with running_site(tmp_path, broker=True) as site, site.http() as http:
        agent = await start_board(site, "a")
        try:
            await online(http, "a")
            assert site.broker is not None
            code, said = await asyncio.to_thread(check)
            assert code == 0
            assert "this board's agent runs" in said
            assert "no connection" not in agent.log.read_text()
            await asyncio.to_thread(site.broker.kill)
            code, said = await asyncio.to_thread(check)
            assert code == 3
            assert "[broker.unreachable]" in said
            await asyncio.to_thread(site.broker.start)
            await online(http, "a")
        finally:
            await asyncio.to_thread(agent.stop)
        code, said = await asyncio.to_thread(check)
        assert (code, said.rstrip()[-9:]) == (0, "connected")


async def test_a_new_signing_key_reaches_a_running_board_with_its_renewal(tmp_path: Path) -> None:
    async with running_site(tmp_path, broker=True, certificate_lifetime=12.0) as site:
        agent = await start_board(site, "a")
        keys = site.config.signing_folder

        async def renewed(*expected: str) -> None:
            before = read_identity(tmp_path / "a")

            async def pinned() -> bool:
                file = identity_folder(tmp_path / "a") / TRUSTED
                known = msgspec.json.decode(file.read_bytes(), type=TrustedKeys).signing_keys
                return read_identity(tmp_path / "a") != before and sorted(known) == sorted(expected)

            await eventually(pinned, "keys with the renewed certificate")

        async def runs_a_job() -> None:
            async with site.http() as http:
                await online(http, "a")
                job = await submit(http, "a")

                async def over() -> bool:
                    return (await http.get(f"/jobs/{job}")).json()["state"] in ("succeeded", "failed")

                await eventually(over, "job over")
                answer = (await http.get(f"/jobs/{job}")).json()
                assert answer["state"] == "succeeded", answer

        try:
            old = open_signer(keys).public_key.public_key
            new = prepare_rotation(keys).public_key
            await renewed(old, new)
            finish_rotation(keys)
            # The controller that runs signs with the old key until its end, so renewals bring both.
            await renewed(old, new)
            await runs_a_job()
            await site.restart()
            await runs_a_job()
            await renewed(new)
            await runs_a_job()
            assert "manifest." not in agent.log.read_text()
        finally:
            await asyncio.to_thread(agent.stop)


async def test_a_renewal_while_a_job_runs_loses_nothing(tmp_path: Path) -> None:
    async with running_site(tmp_path, broker=True, certificate_lifetime=15.0) as site, site.http() as http:
        agent = await start_board(site, "a", trials=60, pause_seconds=0.25, samples=True)
        try:
            before = read_identity(tmp_path / "a")
            assert before is not None
            await online(http, "a")
            job = await submit(http, "a")

            async def over() -> bool:
                return (await http.get(f"/jobs/{job}")).json()["state"] in ("succeeded", "failed")

            await eventually(over, "job over", seconds=120.0)
            assert (await http.get(f"/jobs/{job}")).json()["state"] == "succeeded"
            assert len((await http.get(f"/results?job={job}")).json()["results"]) == 60
            assert "the certificate is renewed" in agent.log.read_text()
            after = read_identity(tmp_path / "a")
            assert after is not None
            assert after.issued_at_unix > before.issued_at_unix

            async def newer() -> bool:
                found = (await http.get("/metrics")).text
                return 'edgedyno_board_online{board="a"} 1.0' in found

            await eventually(newer, "board back with its new certificate")
        finally:
            await asyncio.to_thread(agent.stop)


@pytest.mark.parametrize("dynsec", [False, True])
async def test_a_revoked_daemon_is_out_and_comes_back_when_enrolled_anew(
    tmp_path: Path, *, dynsec: bool
) -> None:
    async with running_site(tmp_path, broker=True, dynsec=dynsec) as site, site.http() as http:
        agent = await start_board(site, "a")
        other = await start_board(site, "b")
        try:
            await online(http, "a", "b")
            done = (await http.post("/boards/a/revoke")).json()
            assert done["problem"] is None

            async def gone() -> bool:
                boards = {one["board"]: one["online"] for one in (await http.get("/boards")).json()["boards"]}
                return boards == {"a": False, "b": True}

            await eventually(gone, "board thrown out")
            await asyncio.to_thread(agent.stop)
            await site.join(tmp_path / "a", await site.token("a"))
            await asyncio.to_thread(agent.start)
            await online(http, "a", "b")
        finally:
            await asyncio.to_thread(agent.stop)
            await asyncio.to_thread(other.stop)
