"""Who a client is, by its certificate, over real TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
import pytest

from edgedyno.controller.security.authority import Authority, read_certificate
from edgedyno.controller.security.certificates import Revoked
from edgedyno.controller.security.connection import board_of_connection
from edgedyno.controller.security.tls import refresh
from tests.controller.security.parties import ask, client_tls, server_tls, who_server, write_trust

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_board_is_known_by_its_certificate(authority: Authority, tmp_path: Path) -> None:
    authority.identity(tmp_path / "board", "rpi4")
    async with who_server(server_tls(authority, tmp_path)) as (url, _):
        assert await ask(url, client_tls(tmp_path / "ca.pem", tmp_path / "board")) == {
            "board": "rpi4", "name": "rpi4",
        }  # fmt: skip


async def test_a_client_without_certificate_is_nobody(authority: Authority, tmp_path: Path) -> None:
    async with who_server(server_tls(authority, tmp_path)) as (url, _):
        assert await ask(url, client_tls(tmp_path / "ca.pem")) == {"board": None, "name": None}


async def test_without_tls_everyone_is_nobody() -> None:
    async with who_server(None) as (url, _):
        assert await ask(url) == {"board": None, "name": None}


@pytest.mark.parametrize("name", ["controller", "controller@b"])
async def test_the_controller_is_no_board(authority: Authority, tmp_path: Path, name: str) -> None:
    authority.identity(tmp_path / "me", name)
    async with who_server(server_tls(authority, tmp_path)) as (url, _):
        assert await ask(url, client_tls(tmp_path / "ca.pem", tmp_path / "me")) == {
            "board": None,
            "name": name,
        }


async def test_anothers_certificate_ends_the_handshake(authority: Authority, tmp_path: Path) -> None:
    other = Authority.ensure(tmp_path / "other")
    other.identity(tmp_path / "board", "rpi4")
    async with who_server(server_tls(authority, tmp_path)) as (url, _):
        with pytest.raises(httpx.TransportError):
            await ask(url, client_tls(tmp_path / "ca.pem", tmp_path / "board"))


async def test_a_servers_certificate_makes_no_board(authority: Authority, tmp_path: Path) -> None:
    authority.server(tmp_path / "fake", ["rpi4"])
    async with who_server(server_tls(authority, tmp_path)) as (url, _):
        with pytest.raises(httpx.TransportError):
            await ask(url, client_tls(tmp_path / "ca.pem", tmp_path / "fake"))


async def test_a_boards_certificate_makes_no_server(authority: Authority, tmp_path: Path) -> None:
    context = server_tls(authority, tmp_path)
    authority.identity(tmp_path / "board", "127.0.0.1")
    context.load_cert_chain(tmp_path / "board" / "cert.pem", tmp_path / "board" / "key.pem")
    async with who_server(context) as (url, _):
        with pytest.raises(httpx.ConnectError, match=r"purpose|verify failed"):
            await ask(url, client_tls(tmp_path / "ca.pem"))


async def test_an_ended_certificate_ends_the_handshake(authority: Authority, tmp_path: Path) -> None:
    authority.identity(tmp_path / "board", "rpi4", seconds=-1)
    async with who_server(server_tls(authority, tmp_path)) as (url, _):
        with pytest.raises(httpx.TransportError):
            await ask(url, client_tls(tmp_path / "ca.pem", tmp_path / "board"))


async def test_a_revoked_board_is_out_and_its_open_connection_ends(
    authority: Authority, tmp_path: Path
) -> None:
    authority.identity(tmp_path / "board", "rpi4")
    authority.identity(tmp_path / "friend", "orin")
    context = server_tls(authority, tmp_path)
    board, friend = (client_tls(tmp_path / "ca.pem", tmp_path / name) for name in ("board", "friend"))
    certificate = read_certificate(tmp_path / "board" / "cert.pem")
    assert certificate is not None
    async with (
        who_server(context) as (url, server),
        httpx.AsyncClient(verify=board, trust_env=False) as client,
        httpx.AsyncClient(verify=friend, trust_env=False) as other,
    ):
        for one in (client, other):
            (await one.get(url)).raise_for_status()
        write_trust(authority, tmp_path, [Revoked(certificate.serial_number, 0.0)])
        refresh(
            context, ca_file=tmp_path / "ca.pem", list_file=tmp_path / "crl.pem", identity=tmp_path / "server"
        )
        assert server.connections.close_where(lambda peer: peer.serial == certificate.serial_number) == 1
        with pytest.raises(httpx.TransportError):
            await client.get(url)
        assert (await other.get(url)).json()["board"] == "orin"
        assert (await ask(url, friend))["board"] == "orin"


def test_a_scope_without_extensions_is_nobodys() -> None:
    assert board_of_connection({"type": "http"}) is None
    assert board_of_connection({"type": "http", "extensions": {"edgedyno.peer": "rpi4"}}) is None


def test_old_tls_is_refused(authority: Authority, tmp_path: Path) -> None:
    assert server_tls(authority, tmp_path).minimum_version >= ssl.TLSVersion.TLSv1_2
