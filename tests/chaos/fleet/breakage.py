"""Variants that are broken on purpose: the end check has to catch each of them."""

from __future__ import annotations

import threading
from typing import Any

VARIANTS = ("ack before commit", "outbox emptied before ack", "no fencing")
STORED_LATE_SECONDS = 4.0


def spoil_controller(variant: str) -> None:
    """Break this process's controller, if the variant is one of the controller's."""
    if variant == VARIANTS[0]:
        _ack_before_commit()
    elif variant == VARIANTS[2]:
        _no_fencing()


def spoil_agent(variant: str) -> None:
    """Break this process's agent, if the variant is one of the agent's."""
    if variant != VARIANTS[1]:
        return
    from edgedyno.agent.delivery import Delivery

    pump = Delivery.pump

    def pump_and_forget(self: Any) -> None:
        pump(self)
        with self._outbox._database.transaction() as connection:
            connection.execute("DELETE FROM outbox WHERE seq <= ?", (self._sent,))

    Delivery.pump = pump_and_forget  # type: ignore[method-assign]


def _ack_before_commit() -> None:
    from edgedyno.controller import reception
    from edgedyno.controller.ingest import Outcome
    from edgedyno.core.messages import Ack

    ingest = vars(reception)["ingest"]

    def promise(database: Any, arrivals: Any) -> Outcome:
        outcome = Outcome()
        for arrival in arrivals:
            epoch, seq = arrival.envelope.stream_epoch, arrival.envelope.seq
            outcome.acks[arrival.board, epoch] = Ack(stream_epoch=epoch, up_to=seq)
        threading.Timer(STORED_LATE_SECONDS, ingest, (database, arrivals)).start()
        return outcome

    vars(reception)["ingest"] = promise


def _no_fencing() -> None:
    from edgedyno.controller import requests

    update = requests._Desk.update

    def update_any(self: Any, request: Any) -> Any:
        from msgspec.structs import replace

        from edgedyno.controller.store.executions import read_execution

        found = read_execution(self._connection, request.execution)
        version = found.version if found else request.expected_version
        return update(self, replace(request, expected_version=version))

    requests._Desk._fence = lambda *_: None  # type: ignore[method-assign]
    requests._Desk.update = update_any  # type: ignore[method-assign]
