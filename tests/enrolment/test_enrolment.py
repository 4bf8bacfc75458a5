"""Boards join a real controller over HTTPS: tokens, keys, crashes in the middle, and who is refused."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from edgedyno.agent import identity_joining
from edgedyno.agent.config import AgentConfig
from edgedyno.agent.identity import identity_folder, read_identity, with_identity
from edgedyno.agent.identity_joining import renew
from edgedyno.controller.security.signing import public_keys
from edgedyno.core.broker import Broker
from edgedyno.core.enrolment import Invitation, read_token, write_token
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError
from edgedyno.core.signing import TrustedKeys
from tests.conftest import free_port
from tests.enrolment.identities import running_site

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path


async def refusal(call: Callable[[], object]) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(EdgedynoError) as caught:
        await call()  # type: ignore[misc]
    return caught.value.code


async def test_a_board_joins_and_keeps_its_key_to_itself(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        state_dir = await site.enrol("rpi4")
        identity = read_identity(state_dir)
        assert identity is not None
        assert (identity.board, identity.controller_url) == ("rpi4", site.service.url)
        folder = identity_folder(state_dir)
        assert {file.name for file in folder.iterdir()} == {
            "key.pem", "cert.pem", "ca.pem", "identity.json", "trusted_keys.json",
        }  # fmt: skip
        (pinned,) = msgspec.json.decode(
            (folder / "trusted_keys.json").read_bytes(), type=TrustedKeys
        ).signing_keys
        ((_, signer),) = public_keys(site.config.signing_folder)
        assert pinned == signer.public_key
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
        assert not list(state_dir.glob("*pending*")) + list(state_dir.glob("*.part"))
        async with site.http(folder) as http:
            assert (await http.get("/healthz")).status_code in (200, 503)


async def test_the_identity_is_used_where_nothing_else_is_configured(tmp_path: Path) -> None:
    async with running_site(tmp_path, boards_broker="broker.lan:8884") as site:
        state_dir = await site.enrol("rpi4")
    config = with_identity(AgentConfig(), state_dir)
    assert (config.board_id, config.broker.host, config.broker.port) == ("rpi4", "broker.lan", 8884)
    assert config.broker.tls is not None
    named = with_identity(AgentConfig(broker=Broker(host="other", port=1)), state_dir)
    assert (named.broker.host, named.broker.port) == ("other", 1)
    assert named.broker.tls == config.broker.tls
    with pytest.raises(ConfigError, match="enrolled"):
        with_identity(AgentConfig(board="orin"), state_dir)


async def test_a_token_opens_once(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        token = await site.token(None)
        await site.join(tmp_path / "a", token, "a")
        assert await refusal(lambda: site.join(tmp_path / "b", token, "b")) == "enroll.used"
        assert await refusal(lambda: site.join(tmp_path / "c", token, "a")) == "enroll.used"
        assert read_identity(tmp_path / "b") is None


async def test_a_token_of_one_board_is_no_others(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        token = await site.token("a")
        assert await refusal(lambda: site.join(tmp_path / "b", token, "b")) == "enroll.board"
        altered = _with(token, board="b")
        assert await refusal(lambda: site.join(tmp_path / "b", altered, "b")) == "enroll.board"
        await site.join(tmp_path / "a", token)


def _with(token: str, **changes: str) -> str:
    """Return a token with something changed and a check sum that fits."""
    return write_token(msgspec.structs.replace(read_token(token), **changes))


async def test_an_altered_token_is_refused(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        token = await site.token("a")
        cut = token[:30] + ("A" if token[30] != "A" else "B") + token[31:]
        assert await refusal(lambda: site.join(tmp_path / "a", cut)) == "enroll.altered"
        secret = _with(token, secret="x" * 43)
        assert await refusal(lambda: site.join(tmp_path / "a", secret)) == "enroll.unknown"
        fingerprint = _with(token, ca_sha256="0" * 64)
        assert await refusal(lambda: site.join(tmp_path / "a", fingerprint)) == "enroll.fingerprint"


async def test_a_false_controller_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    exchange = identity_joining._exchange

    def watched(url: str, method: str, path: str, *rest: object) -> bytes:
        asked.append(f"{method} {path}")
        return exchange(url, method, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(identity_joining, "_exchange", watched)
    async with running_site(tmp_path / "true") as site, running_site(tmp_path / "false") as thief:
        token = await site.token("a")
        moved = _with(token, url=thief.service.url)
        assert await refusal(lambda: site.join(tmp_path / "a", moved)) == "enroll.fingerprint"
        foreign = await thief.token("a")
        moved = _with(foreign, url=site.service.url)
        assert await refusal(lambda: site.join(tmp_path / "a", moved)) == "enroll.fingerprint"
    assert set(asked) == {"GET /ca"}


async def test_a_controller_of_another_name_is_told_nothing(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        token = await site.token("a")
        # This name leads to the same place and stands in no certificate.
        elsewhere = _with(token, url=site.service.url.replace("127.0.0.1", "0x7f.1"))
        assert await refusal(lambda: site.join(tmp_path / "a", elsewhere)) == "enroll.tls"


def test_nobody_there_can_be_tried_again(tmp_path: Path) -> None:
    token = write_token(Invitation(f"https://127.0.0.1:{free_port()}", "0" * 64, "x" * 43))
    with pytest.raises(RetryableError):
        identity_joining.join(tmp_path, token, board="a", hostname="a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["write_identity", "_point_to"])
async def test_a_crash_after_the_answer_is_repeated_with_the_same_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    from edgedyno.agent import identity

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    async with running_site(tmp_path) as site:
        token = await site.token("a")
        with monkeypatch.context() as patched:
            patched.setattr(identity_joining if where == "write_identity" else identity, where, crash)
            with pytest.raises(KeyboardInterrupt):
                await site.join(tmp_path / "a", token)
        assert read_identity(tmp_path / "a") is None
        await site.join(tmp_path / "a", token)
        async with site.http(identity_folder(tmp_path / "a")) as http:
            assert (await http.get("/ca")).status_code == 200
        assert not list((tmp_path / "a").glob("*pending*"))


async def test_a_crash_while_writing_leaves_the_old_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgedyno.agent import identity

    written: list[str] = []
    write = identity.write_private

    def tear(file: Path, data: bytes) -> None:
        written.append(file.name)
        write(file, data[: len(data) // 2])
        if len(written) == 3:
            raise KeyboardInterrupt

    async with running_site(tmp_path) as site:
        state_dir = await site.enrol("a")
        before = _contents(state_dir)
        token = await site.token("a")
        with monkeypatch.context() as patched:
            patched.setattr(identity, "write_private", tear)
            with pytest.raises(KeyboardInterrupt):
                await site.join(state_dir, token)
        assert _contents(state_dir) == before
        await site.join(state_dir, token)
        assert _contents(state_dir) != before
        assert len(list(state_dir.glob("identity-*"))) == 1


def _contents(state_dir: Path) -> Mapping[str, bytes]:
    return {file.name: file.read_bytes() for file in identity_folder(state_dir).iterdir()}


async def test_a_certificate_is_renewed_by_the_present_one(tmp_path: Path) -> None:
    import asyncio

    async with running_site(tmp_path, certificate_lifetime=20.0) as site:
        state_dir = await site.enrol("a")
        before = _contents(state_dir)
        with pytest.raises(RetryableError, match="has a new certificate"):
            await asyncio.to_thread(renew, state_dir)
        await asyncio.sleep(1.1)
        after = await asyncio.to_thread(renew, state_dir)
        assert after.issued_at_unix > 0
        assert _contents(state_dir)["key.pem"] != before["key.pem"]
        async with site.http(identity_folder(state_dir)) as http:
            assert (await http.get("/ca")).status_code == 200
            assert (await http.post("/renew", json={"request": "x"})).status_code == 400
        async with site.http() as http:
            answer = await http.post("/renew", json={"request": "x"})
        assert answer.status_code in (401, 403, 422)


async def test_a_revoked_board_is_out_of_the_api(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        folder = identity_folder(await site.enrol("a"))
        other = identity_folder(await site.enrol("b"))
        async with site.http(folder) as http, site.http(other) as friend, site.http() as operator:
            assert (await http.get("/ca")).status_code == 200
            assert (await friend.get("/ca")).status_code == 200
            done = await operator.post("/boards/a/revoke")
            assert done.json() == {"board": "a", "certificates": 1, "problem": None}
            with pytest.raises(httpx.TransportError):
                await http.get("/ca")
            assert (await friend.get("/ca")).status_code == 200
        async with site.http(folder) as http:
            with pytest.raises(httpx.TransportError):
                await http.get("/ca")
        await site.join(tmp_path / "a", await site.token("a"))
        async with site.http(folder) as http:
            assert (await http.get("/ca")).status_code == 200


async def test_boards_revoked_one_right_after_the_other_are_all_out(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site, site.http() as operator:
        folders = [identity_folder(await site.enrol(board)) for board in "abc"]
        for board in "abc":
            assert (await operator.post(f"/boards/{board}/revoke")).status_code == 200
        for folder in folders:
            async with site.http(folder) as http:
                with pytest.raises(httpx.TransportError):
                    await http.get("/ca")


async def test_a_new_root_breaks_nothing(tmp_path: Path) -> None:
    import asyncio

    async with running_site(tmp_path, certificate_lifetime=20.0) as site:
        state_dir = await site.enrol("a")
        folder = identity_folder(state_dir)
        old = (folder / "ca.pem").read_text()
        keeper = site.service.keeper
        assert keeper is not None
        await asyncio.to_thread(keeper.authority.replace)
        await keeper.apply()
        # The board knows the old root alone, and its certificate is the old root's.
        async with httpx.AsyncClient(
            base_url=f"{site.service.url}/api/v1", verify=_trusting(folder), trust_env=False
        ) as http:
            assert (await http.get("/ca")).status_code == 200
        await asyncio.sleep(1.1)
        await asyncio.to_thread(renew, state_dir)
        assert (folder / "ca.pem").read_text() == keeper.authority.bundle().decode() != old
        async with site.http(folder) as http:
            assert (await http.get("/ca")).status_code == 200


def _trusting(folder: Path) -> ssl.SSLContext:
    from tests.controller.security.broker import context_of

    return context_of(folder / "ca.pem", folder)


async def test_without_tls_there_is_no_enrolment(tmp_path: Path) -> None:
    from edgedyno.controller.config import ControllerConfig
    from edgedyno.controller.service import Service
    from tests.controller.service.standins import ScriptedLaboratory

    service = Service(
        ControllerConfig(data_dir=str(tmp_path), listen_port=0, broker_port=free_port()),
        laboratory=ScriptedLaboratory(),
    )
    async with service.running(), httpx.AsyncClient(base_url=service.url, trust_env=False) as http:
        answer = await http.get("/api/v1/ca")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "enroll.off")
    assert not (tmp_path / "security").exists()
