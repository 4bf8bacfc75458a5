"""Who may do what over HTTP: tokens, scopes, and what is open where."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from starlette.routing import Mount, Route

from edgedyno.controller.api.access import Principal
from edgedyno.controller.api.app import make_app
from edgedyno.controller.api.routes import ENDPOINTS
from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.main import in_database
from edgedyno.controller.security.tokens import (
    FRESH_SECONDS,
    LADDER,
    PREFIX,
    TokenBook,
    create_token,
    hash_secret,
    read_tokens,
    revoke_token,
)
from edgedyno.controller.store.database import Database
from edgedyno.core.errors import ConfigError
from tests.controller.service.conftest import make_service
from tests.controller.service.samples import IMAGE_BYTES, MODEL_BYTES, sha256
from tests.controller.service.standins import Board, ScriptedLaboratory
from tests.controller.service.test_job_way import born, eventually, submit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SHA256 = "ab" * 32


@pytest.fixture
def database_url(tmp_path: Any) -> str:
    """Who may do what is no matter of the database's kind."""
    return f"sqlite:///{tmp_path / 'store.sqlite3'}"


@pytest.fixture
def tokens(config: ControllerConfig) -> dict[str, str]:
    """Make a token of each scope; return their secrets."""
    scopes = (*LADDER, "board")
    return {scope: in_database(config, create_token, f"my-{scope}", scope) for scope in scopes}


@pytest.fixture
async def guarded(tokens: dict[str, str], config: ControllerConfig) -> AsyncIterator[httpx.AsyncClient]:
    """Run a service that has tokens."""
    async with asking(config) as client:
        yield client


@asynccontextmanager
async def asking(config: ControllerConfig) -> AsyncIterator[httpx.AsyncClient]:
    """Run a service and ask it through loopback."""
    async with make_service(config, ScriptedLaboratory()).running() as running:
        url = f"http://127.0.0.1:{running.url.rpartition(':')[2]}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# What a request to each route answers when it is let in: anything but 401 and 403.
def concrete(path: str) -> str:
    return (
        path.replace("{sha256}", SHA256)
        .replace("{job}", "none")
        .replace("{board}", "none")
        .replace("{group}", "none")
    )


def url_of(path: str, *, at_root: bool) -> str:
    return concrete(path) if at_root else f"/api/v1{concrete(path)}"


def test_the_application_has_no_route_outside_of_the_table() -> None:
    app = make_app(_NoParts())  # type: ignore[arg-type]
    found = set()
    for route in app.routes:
        inner = route.routes if isinstance(route, Mount) else [route]
        for each in inner or []:
            assert isinstance(each, Route)
            assert each.endpoint.__qualname__.startswith("_route."), f"{each.path} goes past the access check"
            found |= {(method, each.path) for method in each.methods or () if method != "HEAD"}
    assert found == {(each.method, each.path) for each in ENDPOINTS}


class _NoParts:
    config = ControllerConfig()


def test_what_changes_something_never_asks_for_less_than_submit() -> None:
    for each in ENDPOINTS:
        # A board joins by a one-time token and renews by its certificate; their handlers check those.
        # Planning only asks, with a body.
        if each.method != "GET" and each.path not in ("/enroll", "/renew", "/jobs/plan"):
            assert each.need in ("submit", "admin"), each.path


@pytest.mark.parametrize("scope", [None, *LADDER, "board"])
async def test_every_route_lets_in_whom_the_table_lets_in(
    guarded: httpx.AsyncClient, tokens: dict[str, str], scope: str | None
) -> None:
    who = Principal("user", "x", scope)  # type: ignore[arg-type]
    for each in ENDPOINTS:
        headers = bearer(tokens[scope]) if scope else {}
        answer = await guarded.request(each.method, url_of(each.path, at_root=each.at_root), headers=headers)
        refused = answer.status_code in (401, 403)
        assert refused != who.may(each.need, boards=each.boards), (each.method, each.path, answer.text)
        if refused:
            assert answer.status_code == (403 if scope else 401)
            assert answer.json()["error"]["code"] == ("access.scope" if scope else "access.token")


async def test_a_revoked_an_expired_and_an_invented_token_open_nothing(
    config: ControllerConfig, guarded: httpx.AsyncClient, tokens: dict[str, str]
) -> None:
    old = in_database(config, create_token, "old", "admin", lifetime_seconds=-1.0)
    in_database(config, revoke_token, "my-admin")
    await asyncio.sleep(FRESH_SECONDS + 0.1)
    for secret in (old, tokens["admin"], PREFIX + "x" * 43, "x", "é", tokens["read"] + "x"):
        headers = {b"Authorization": b"Bearer " + secret.encode()}
        assert (await guarded.get("/api/v1/jobs", headers=headers)).status_code == 401, secret


async def test_a_revoked_last_token_does_not_open_the_controller(config: ControllerConfig) -> None:
    in_database(config, create_token, "only", "admin")
    in_database(config, revoke_token, "only")
    async with asking(config) as client:
        assert (await client.get("/api/v1/jobs")).status_code == 401


async def test_a_browser_shows_pages_with_the_token_as_password_and_changes_nothing(
    guarded: httpx.AsyncClient, tokens: dict[str, str]
) -> None:
    asked = await guarded.get("/")
    assert "Basic" in asked.headers["www-authenticate"]
    password = base64.b64encode(f"me:{tokens['admin']}".encode()).decode()
    headers = {"Authorization": f"Basic {password}"}
    assert (await guarded.get("/", headers=headers)).status_code == 200
    assert (await guarded.post("/api/v1/jobs/x/cancel", headers=headers)).status_code == 401
    assert (await guarded.get("/", headers={"Authorization": "Basic !!"})).status_code == 401


async def test_without_tokens_this_machine_may_do_all_but_pages_of_other_sites_may_not(
    config: ControllerConfig,
) -> None:
    async with asking(config) as client:
        assert (await client.get("/api/v1/jobs")).status_code == 200
        assert (await client.post("/api/v1/jobs/x/cancel")).status_code == 404
        foreign = await client.post("/api/v1/jobs/x/cancel", headers={"Origin": "https://evil.example"})
        assert foreign.json()["error"]["code"] == "access.origin"
        own = await client.post("/api/v1/jobs/x/cancel", headers={"Origin": str(client.base_url).rstrip("/")})
        assert own.status_code == 404
        rebound = await client.get("/api/v1/jobs", headers={"Host": "evil.example:8080"})
        assert rebound.json()["error"]["code"] == "access.host"


async def test_beyond_loopback_a_controller_without_tokens_does_not_start(config: ControllerConfig) -> None:
    wide = msgspec.structs.replace(config, listen_host="0.0.0.0")
    with pytest.raises(ConfigError, match="token create") as caught:
        async with make_service(wide, ScriptedLaboratory()).running():
            pass
    assert caught.value.code == "access.open"


async def test_beyond_loopback_it_starts_with_a_token_or_when_told_to(config: ControllerConfig) -> None:
    wide = msgspec.structs.replace(config, listen_host="0.0.0.0", allow_anonymous=True)
    async with asking(wide) as client:
        assert (await client.get("/api/v1/jobs")).status_code == 200
    in_database(config, create_token, "me", "admin")
    closed = msgspec.structs.replace(wide, allow_anonymous=False)
    async with asking(closed) as client:
        assert (await client.get("/api/v1/jobs")).status_code == 401
        assert (await client.get("/healthz")).status_code in (200, 503), (
            "open, whether the broker is there yet or not"
        )


async def test_metrics_can_be_opened(config: ControllerConfig, tokens: dict[str, str]) -> None:
    open_metrics = msgspec.structs.replace(config, open_metrics=True)
    async with asking(open_metrics) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/api/v1/jobs")).status_code == 401


def test_what_is_kept_of_a_token_is_not_the_token(config: ControllerConfig) -> None:
    secret = in_database(config, create_token, "me", "submit", lifetime_seconds=60.0)
    kept = in_database(config, read_tokens)
    assert list(kept) == [hash_secret(secret)]
    assert secret not in repr(kept)
    assert len(secret) >= len(PREFIX) + 43


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 64, "-x"])
def test_a_token_has_a_plain_name(config: ControllerConfig, name: str) -> None:
    with pytest.raises(ConfigError, match="token's name"):
        in_database(config, create_token, name, "read")


def test_a_token_is_made_once_and_an_unknown_one_is_told(config: ControllerConfig) -> None:
    in_database(config, create_token, "pipeline", "submit")
    with pytest.raises(ConfigError, match="already"):
        in_database(config, create_token, "pipeline", "admin")
    with pytest.raises(ConfigError, match="pipeline"):
        in_database(config, revoke_token, "pipelin")


async def test_tokens_are_not_read_for_every_request(config: ControllerConfig) -> None:
    secret = in_database(config, create_token, "me", "read")
    now = [0.0]
    database = Database(config.url)
    try:
        book = TokenBook(database, monotonic=lambda: now[0])
        assert await book.find(secret) is not None
        in_database(config, revoke_token, "me")
        assert await book.find(secret) is not None
        now[0] += 1.0
        assert await book.find(secret) is None
        assert await book.in_use()
    finally:
        database.close()


async def test_a_board_fetches_the_files_of_its_own_execution_and_no_others(
    config: ControllerConfig, make_board: Callable[..., Board]
) -> None:
    secrets = {name: in_database(config, create_token, name, "board") for name in ("rpi4", "thief")}
    admin = bearer(in_database(config, create_token, "me", "admin"))
    async with asking(config) as client:
        client.base_url = client.base_url.join("/api/v1/")
        client.headers.update(admin)
        board = await asyncio.to_thread(make_board, "rpi4")
        await born(client, board)
        await submit(client)

        async def rung() -> bool:
            return bool(board.desired) and board.desired[-1].execution is not None

        await eventually(rung, "doorbell")
        image = f"artifacts/{sha256(IMAGE_BYTES)}"
        assert (await client.get(image, headers=bearer(secrets["rpi4"]))).status_code == 404, (
            "before its lease"
        )
        given = await asyncio.to_thread(board.next)
        assert given.manifest is not None
        assert given.signed is not None
        assert (await client.get(image, headers=bearer(secrets["rpi4"]))).content == IMAGE_BYTES
        assert (await client.head(image, headers=bearer(secrets["thief"]))).status_code == 200
        assert (await client.get(image, headers=bearer(secrets["thief"]))).status_code == 404
        source = f"artifacts/{sha256(MODEL_BYTES)}"
        assert (await client.get(source, headers=bearer(secrets["rpi4"]))).status_code == 404, (
            "not the FP32 source"
        )


async def test_an_answer_is_heard_though_the_body_is_refused(guarded: httpx.AsyncClient) -> None:
    """A client that is still sending when the connection is closed never reads why."""
    for _ in range(5):
        answer = await guarded.post("/api/v1/jobs", content=b"x" * 500_000)
        assert answer.status_code == 401
