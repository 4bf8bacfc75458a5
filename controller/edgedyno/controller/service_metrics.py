"""Metrics of the service itself: what came, what was refused, how long it took, what is left of the disk.

Labels have few values, all of them this program's own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from edgedyno.controller.histogram import Histogram
from edgedyno.controller.reception import Tally

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator


class ServiceState(Struct, frozen=True):
    """How the service itself does."""

    tally: Tally
    inbox_depth: int
    inbox_dropped: int
    mqtt_connected: bool
    leads: bool
    builds: int
    build_seconds_sum: float
    write_seconds: Histogram = field(default_factory=Histogram)
    read_seconds: Histogram = field(default_factory=Histogram)
    data_free_bytes: int | None = None
    database_bytes: int | None = None
    """None where the database is not a file of this machine."""


def service_families(state: ServiceState) -> Iterator[Metric]:
    """Return the families of one moment."""
    tally = state.tally
    yield _counts("ingest_messages", "Messages that came.", tally.messages, "kind")
    yield _counts("ingest_refusals", "Results refused for good.", tally.refusals, "code")
    yield _counts(
        "ingest_flagged_results",
        "Results stored that do not count: late of an ended or older attempt, repeated, or superseded by a newer one.",
        tally.flags,
        "flag",
    )
    for name, text, value in (
        ("ingest_results", "Results committed.", tally.stored),
        ("ingest_duplicates", "Results that had come before.", tally.duplicates),
        (
            "ingest_forgotten_results",
            "Results acknowledged once that are not in the database: it is an older copy.",
            tally.forgotten,
        ),
        ("ingest_undecodable", "Messages that could not be read.", tally.undecodable),
        ("ingest_dropped", "Messages dropped because the database did not keep up.", state.inbox_dropped),
        ("builds", "Builds of variants.", state.builds),
        ("build_seconds", "Time spent building variants.", state.build_seconds_sum),
    ):
        yield CounterMetricFamily(f"edgedyno_{name}", text, value=value)
    yield from _gauges(state)
    yield from _durations(state)


def _gauges(state: ServiceState) -> Iterator[Metric]:
    for name, text, now in (
        ("ingest_queue_messages", "Messages that wait for the database.", state.inbox_depth),
        ("mqtt_connected", "Whether the broker is there.", state.mqtt_connected),
        ("leader", "Whether this replica minds timeouts, builds and scores.", state.leads),
        ("data_free_bytes", "Free space where the controller keeps its data.", state.data_free_bytes),
        ("database_bytes", "Size of the database's files, where it is SQLite.", state.database_bytes),
    ):
        gauge = GaugeMetricFamily(f"edgedyno_{name}", text)
        if now is not None:
            gauge.add_metric([], now)
        yield gauge


def _durations(state: ServiceState) -> Iterator[Metric]:
    for name, text, times in (
        ("ingest_batch_seconds", "Time to take one batch in.", state.tally.batch_seconds),
        ("ingest_lag_seconds", "From a result's arrival to its commit.", state.tally.lag_seconds),
        ("database_write_seconds", "Time of a transaction with its commit.", state.write_seconds),
        ("database_read_seconds", "Time of a reading transaction.", state.read_seconds),
    ):
        family = HistogramMetricFamily(f"edgedyno_{name}", text)
        family.add_metric([], *times.buckets())
        yield family


def _counts(name: str, text: str, counts: Counter[str], label: str) -> Metric:
    family = CounterMetricFamily(f"edgedyno_{name}", text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
