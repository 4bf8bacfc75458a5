"""Stored verdicts: which of them are made anew, and which stand before a job's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.store import jobs
from tests.controller.service.samples import resolved_job

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.store.database import Database


def test_the_last_run_of_the_same_name_is_the_earlier_one(database: Database) -> None:
    def fill(connection: Connection) -> list[str | None]:
        for name in ("sample-1", "sample-2", "sample-3"):
            jobs.insert_job(connection, name, resolved_job(), reduce_ranges={False})
            key = jobs.verdicts_key(connection, name)
            jobs.store_verdicts(connection, name, f"of {name}", key)
        # As an older version left it: a form that is not read any more.
        jobs.store_verdicts(connection, "sample-2", "[]", "1.2.3")
        names = ("sample-1", "sample-2", "sample-3")
        return [jobs.read_earlier_verdicts(connection, name) for name in names]

    assert database.write_now(fill) == [None, "of sample-1", "of sample-1"]


def test_a_verdict_of_an_older_form_is_made_anew(database: Database) -> None:
    def keys(connection: Connection) -> tuple[str | None, str]:
        jobs.insert_job(connection, "sample-1", resolved_job(), reduce_ranges={False})
        jobs.store_verdicts(connection, "sample-1", "[]", "0.0.0")
        return jobs.read_verdicts(connection, "sample-1")[1], jobs.verdicts_key(connection, "sample-1")

    kept, wanted = database.write_now(keys)
    assert kept != wanted
