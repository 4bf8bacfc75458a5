"""Metrics of rollouts. Of each job's name the newest job counts: a job's id would be a series without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from prometheus_client.core import GaugeMetricFamily, Metric

from edgedyno.controller.rollout.view import RolloutView, Standing, view
from edgedyno.controller.store import rollouts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from edgedyno.controller.rollout.moment import Moment

NEWEST = 200
_STATES = ("queued", "running", "succeeded", "failed")


def read_views(connection: Connection, moment: Moment) -> dict[str, RolloutView]:
    """Return how the newest job of each name stands, series left out."""
    found: dict[str, RolloutView] = {}
    for job in rollouts.read_newest(connection, NEWEST):
        if job.state != "scheduled" and job.name not in found:
            seen = view(connection, job, moment, boards=False)
            if seen is not None:
                found[job.name] = seen
    return found


def rollout_families(views: Mapping[str, RolloutView]) -> Iterator[Metric]:
    """Return the families of the newest rollouts by name."""
    status = _gauge("status", "1 for how the newest job of this name stands.", "name", "status")
    wave = _gauge("wave", "The newest wave that may run, from 1.", "name")
    waves = _gauge("waves", "How many waves there are.", "name")
    boards = _gauge("boards", "Boards of the newest job of this name.", "name", "state")
    for name, found in sorted(views.items()):
        for each in get_args(Standing):
            status.add_metric([name, each], each == found.status)
        wave.add_metric([name], found.wave)
        waves.add_metric([name], len(found.waves))
        for state in _STATES:
            boards.add_metric([name, state], sum(getattr(each, state) for each in found.waves))
    yield from (status, wave, waves, boards)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"edgedyno_rollout_{name}", text, labels=list(labels))
