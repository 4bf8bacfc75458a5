"""How many results a second a real controller commits: real messages, mosquitto and service process.

    python benchmarks/ingest.py [--results 20000] [--boards 8] [--window 100] [--json]

Prints results/s from the first publish to the last ack, and the limit measured in the same run: the same rows
in the same batches of 100, written by bare sqlite3 executemany, as durably (WAL, synchronous FULL).
Each board keeps at most `--window` results unacknowledged, as the agent's outbox does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.main import migrate_database, run_service
from edgedyno.controller.store import executions, jobs
from edgedyno.controller.store.boards import add_board
from edgedyno.controller.store.database import Database
from edgedyno.core.job import JobSpec
from edgedyno.core.manifest import ArtifactRef, ResolvedJob
from edgedyno.core.messages import Ack, ResultMessage, decode, encode
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from edgedyno.core.result import Conditions, EnergySummary, LatencySummary, PowerSummary, Result, Validity
from edgedyno.core.topics import of_board

SHA = "0" * 64


def free_port() -> int:
    """Return a free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(port)


def record(job: str, board: str, number: int) -> Result:
    """Return a result as large as a runner's."""
    return Result(
        job=job,
        execution=f"{job}.{board}",
        attempt=1,
        board=board,
        model="fastestdet",
        trial=f"{number:016x}",
        variant_sha256=SHA,
        format="onnx",
        runtime="onnxruntime",
        runtime_version="1.20.0",
        precision="int8",
        effective_precision="int8",
        threads=4,
        cores="all",
        cpus=[0, 1, 2, 3],
        status="ok",
        load_seconds=0.31,
        first_inference_seconds=0.042,
        latency_seconds=LatencySummary(700, 0.010, 0.012, 0.0125, 0.0118, 0.0122, 0.014, 0.015, 0.02),
        settled=True,
        throughput_per_second=80.0,
        energy_joules_per_inference=EnergySummary(0.05, 0.048, 0.052, 0.03, "ina219", "board"),
        power_watts=PowerSummary(4.2, 2.1),
        peak_rss_bytes=90_000_000,
        size_bytes=1_000_000,
        accuracy_reason="scored by the controller",
        conditions=Conditions(
            governor={str(cpu): "performance" for cpu in range(4)},
            frequency_hz={str(cpu): 1.8e9 for cpu in range(4)},
            temperature_celsius={"cpu": 55.0, "gpu": 54.0},
            throttled=False,
            load=0.4,
            pressure={"cpu": 0.1, "memory": 0.0},
            kernel="6.6.31-v8+",
            agent_version="0.1.0",
        ),
        validity=Validity(valid=True, not_checkable=["throttle"]),
        samples_sha256=SHA,
        predictions_sha256=SHA,
        started_at="2026-01-01T00:00:00Z",
        monotonic_seconds=1234.5,
    )


def cpu_seconds(pid: int | None) -> float:
    """Return the processor time that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def prepare(config: ControllerConfig, boards: list[str]) -> str:
    """Put boards and an active job into the store and return the job."""
    migrate_database(config)
    model = ModelProfile(
        name="fastestdet",
        task="detect",
        source="m.onnx",
        input=InputSpec((352, 352)),
        output=OutputSpec("fastestdet"),
    )
    spec = JobSpec(name="bench", model="fastestdet")
    resolved = ResolvedJob(spec, model, ArtifactRef(SHA, 1), ["thing"])
    database = Database(config.url)
    job = "bench-000000"

    def fill(connection: Any) -> None:
        jobs.insert_job(connection, job, resolved, reduce_ranges={False})
        for board in boards:
            add_board(connection, board, 0.0)
            name = executions.insert_execution(
                connection, job=job, board=board, reduce_range=False, now_seconds=0.0
            )
            executions.change(connection, name, state="IN_PROGRESS", started_at_seconds=0.0)
        jobs.finish_build(connection, job, reduce_range=False, variants=[], seconds=0.0)
        jobs.set_job(connection, job, state="active")

    database.write_now(fill)
    database.close()
    return job


class Sender:
    """One board: sends its messages with a bounded window and counts acks."""

    def __init__(self, port: int, board: str, payloads: list[bytes], window: int) -> None:
        self._payloads = payloads
        self._topic = of_board(board, "result")
        self._window = window
        self._sent = 0
        self._lock = threading.Lock()
        self.done = threading.Event()
        self.acks = 0
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_inflight_messages_set(window)
        self.client.on_message = self._acknowledged
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(of_board(board, "ack"), 1)
        ready.wait(20)

    def _acknowledged(self, _client: Any, _userdata: Any, message: Any) -> None:
        ack = decode(message.payload, Ack)
        if ack.refused:
            raise RuntimeError(ack.refused)
        self.acks += 1
        self.send_until(ack.up_to + self._window)
        if ack.up_to >= len(self._payloads):
            self.done.set()

    def send_until(self, seq: int) -> None:
        """Send everything up to a seq that was not sent yet."""
        with self._lock:
            while self._sent < min(seq, len(self._payloads)):
                self.client.publish(self._topic, self._payloads[self._sent], qos=1)
                self._sent += 1


def send_all(port: int, job: str, boards: list[str], count: int, window: int, answer: Any) -> None:
    """Send `count` results of each board and report the seconds until the last ack."""
    senders = []
    for board in boards:
        payloads = [
            encode(
                ResultMessage(
                    msg_id=f"{board}-{number}",
                    board=board,
                    stream_epoch="bench",
                    seq=number,
                    execution=f"{job}.{board}",
                    attempt=1,
                    lease_id="lease",
                    record=record(job, board, number),
                )
            )
            for number in range(1, count + 1)
        ]
        senders.append(Sender(port, board, payloads, window))
    started, cpu_started = time.monotonic(), time.process_time()
    for sender in senders:
        sender.send_until(window)
    complete = all(sender.done.wait(300) for sender in senders)
    seconds = time.monotonic() - started
    answer.put((seconds, complete, sum(sender.acks for sender in senders), time.process_time() - cpu_started))
    for sender in senders:
        sender.client.disconnect()
        sender.client.loop_stop()


def bare_sqlite(folder: Path, config: ControllerConfig) -> float:
    """Return rows/s of bare executemany: the rows that the service wrote, in the same table and batches."""
    source = sqlite3.connect(str(config.url).removeprefix("sqlite:///"))
    rows = source.execute("SELECT * FROM results ORDER BY id").fetchall()
    schema = source.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'results' AND sql IS NOT NULL")
    statements = [sql for (sql,) in schema]
    source.close()
    target = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        target.execute(f"PRAGMA {pragma}")
    for statement in statements:
        target.execute(statement)
    insert = f"INSERT INTO results VALUES ({', '.join('?' * len(rows[0]))})"
    started = time.monotonic()
    for first in range(0, len(rows), 100):
        target.execute("BEGIN IMMEDIATE")
        target.executemany(insert, rows[first : first + 100])
        target.execute("COMMIT")
    seconds = time.monotonic() - started
    target.close()
    return len(rows) / seconds


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run everything once and return the figures."""
    port, http_port = free_port(), free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    broker = subprocess.Popen([binary, "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL)
    boards = [f"board{number}" for number in range(arguments.boards)]
    config = ControllerConfig(
        data_dir=str(folder / "data"), broker_port=port, listen_port=http_port, mqtt_protocol=arguments.mqtt
    )
    (folder / "data").mkdir()
    context = multiprocessing.get_context("spawn")
    answer: Any = context.Queue()
    service = context.Process(target=run_service, args=(config,))
    try:
        wait_for_port(port)
        job = prepare(config, boards)
        service.start()
        wait_for_port(http_port)
        time.sleep(0.5)
        each = arguments.results // arguments.boards
        sender = context.Process(target=send_all, args=(port, job, boards, each, arguments.window, answer))
        sender.start()
        seconds, complete, acks, sender_cpu = answer.get()
        sender.join()
        cpu = {"service": cpu_seconds(service.pid), "broker": cpu_seconds(broker.pid)}
    finally:
        if service.pid is not None:
            service.terminate()
            service.join()
        broker.terminate()
        broker.wait()
    stored = sqlite3.connect(config.url.removeprefix("sqlite:///")).execute("SELECT count(*) FROM results")
    count = stored.fetchone()[0]
    bare = bare_sqlite(folder, config)
    payload = len(msgspec.json.encode(record(job, "board0", 1)))
    return {
        "results": count,
        "complete": complete and count == each * arguments.boards,
        "record_bytes": payload,
        "boards": arguments.boards,
        "window": arguments.window,
        "mqtt": arguments.mqtt,
        "seconds": seconds,
        "results_per_second": count / seconds,
        "acks": acks,
        "service_cpu_seconds": cpu["service"],
        "broker_cpu_seconds": cpu["broker"],
        "sender_cpu_seconds": sender_cpu,
        "load_average": os.getloadavg()[0],
        "bare_sqlite_rows_per_second": bare,
        "ratio": count / seconds / bare,
        "cpus": os.cpu_count(),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=int, default=20_000)
    parser.add_argument("--boards", type=int, default=8)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--mqtt", choices=("auto", "5", "3.1.1"), default=ControllerConfig().mqtt_protocol)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
    return 0 if figures["complete"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
