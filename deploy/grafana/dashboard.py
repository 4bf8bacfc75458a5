"""Generate dashboards/edgedyno.json; with --check tell whether it is current."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "dashboards" / "edgedyno.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
CELL = "{{model}} {{precision}} {{variant}} {{runtime}} {{runtime_version}} {{threads}} threads {{cores}}"
CHOSEN = 'board=~"$board", model=~"$model"'


def panel(
    kind: str,
    title: str,
    text: str,
    unit: str,
    targets: list[tuple[str, str]],
    grid: tuple[int, int, int, int],
) -> dict[str, Any]:
    """Return one panel; `targets` are (query, legend), `grid` is x, y, width, height."""
    instant = kind in ("stat", "bargauge", "table")
    x, y, w, h = grid
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": w, "h": h},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {"orientation": "horizontal", "legend": {"showLegend": True, "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": instant,
                "range": not instant,
            }
            for index, (query, legend) in enumerate(targets)
        ],
    }


def latency(stat: str) -> str:
    """Return the query of one statistic of valid results."""
    cell = (
        "board, model, runtime, runtime_version, precision, format, variant, threads, cores, batch, scenario"
    )
    return (
        f'edgedyno_result_latency_seconds{{{CHOSEN}, stat="{stat}"}} '
        f"and on ({cell}) (edgedyno_result_valid{{{CHOSEN}}} == 1)"
    )


def quantile(q: float, name: str) -> str:
    """Return the query of a quantile of durations."""
    return f"histogram_quantile({q}, sum by (le) (rate(edgedyno_{name}_seconds_bucket[$__rate_interval])))"


PANELS = [
    panel(
        "stat", "Boards online", "Boards whose agent is connected, of all that ever reported.", "none",
        [("sum(edgedyno_board_online)", "online"), ("count(edgedyno_board_online)", "known")], (0, 0, 6, 4),
    ),
    panel(
        "stat", "Executions", "Executions in each state.", "none",
        [("sum by (state) (edgedyno_executions) > 0", "{{state}}")], (6, 0, 10, 4),
    ),
    panel(
        "stat", "Broker", "1 while the controller is connected to the MQTT broker.", "bool_yes_no",
        [("max(edgedyno_mqtt_connected)", "connected")], (16, 0, 4, 4),
    ),
    panel(
        "stat", "Results", "Results committed to the database since the controller started.", "none",
        [("sum(edgedyno_ingest_results_total)", "committed")], (20, 0, 4, 4),
    ),
    panel(
        "bargauge", "Median latency", "Seconds per inference, newest valid result of each cell.", "s",
        [(f"sort({latency('p50')})", CELL)], (0, 4, 12, 10),
    ),
    panel(
        "bargauge", "Accuracy", "Score of each variant on the job's images, 0 to 1.", "percentunit",
        [
            (
                f'max without (threads, cores) (edgedyno_result_accuracy_ratio{{{CHOSEN}, stat="value"}})',
                "{{model}} {{precision}} {{runtime}} {{metric}}",
            )
        ],
        (12, 4, 12, 5),
    ),
    panel(
        "bargauge", "INT8 over FP32", "Latency of INT8 over that of FP32: above 1, INT8 is slower.", "none",
        [
            (
                f"cell:edgedyno_result_latency_seconds:int8_over_fp32{{{CHOSEN}}}",
                "{{board}} {{model}} {{runtime}} {{threads}} threads {{cores}}",
            )
        ],
        (12, 9, 12, 5),
    ),
    panel(
        "table", "Recommended", "What the newest verdict recommends for each board and model.", "none",
        [(f"edgedyno_result_recommended{{{CHOSEN}}} == 1", "")], (0, 14, 12, 7),
    ),
    panel(
        "table", "Verdicts", "What the newest verdict answers for each board and model.", "none",
        [(f"edgedyno_verdict_answer{{{CHOSEN}}} == 1", "")], (0, 35, 8, 7),
    ),
    panel(
        "table", "Requirements",
        "What is known of each requirement, by the trial that is recommended or comes nearest.", "none",
        [(f"edgedyno_verdict_requirement{{{CHOSEN}}} == 1", "")], (8, 35, 8, 7),
    ),
    panel(
        "bargauge", "Boards on which one deployment meets all",
        "Of a job on several boards: the share on which its best single deployment meets every requirement.",
        "percentunit",
        [('edgedyno_verdict_group_meets_ratio{model=~"$model"}', "{{model}} {{board_type}}")], (16, 35, 8, 7),
    ),
    panel(
        "bargauge", "Energy per inference", "Joules per inference, where a power sensor could tell.", "joule",
        [(f'edgedyno_result_energy_joules{{{CHOSEN}, stat="value"}}', CELL)], (12, 14, 12, 7),
    ),
    panel(
        "timeseries", "Progress", "Share of trials done of what each board runs.", "percentunit",
        [
            (
                'edgedyno_execution_trials_done{board=~"$board"} / edgedyno_execution_trials',
                "{{board}}",
            )
        ],
        (0, 21, 8, 7),
    ),
    panel(
        "timeseries", "Load", "Load average of each board over one minute.", "none",
        [('edgedyno_board_load{board=~"$board"}', "{{board}}")], (8, 21, 8, 7),
    ),
    panel(
        "timeseries", "Agent memory", "Resident memory of each board's agent.", "bytes",
        [('edgedyno_board_agent_resident_memory_bytes{board=~"$board"}', "{{board}}")], (16, 21, 8, 7),
    ),
    panel(
        "timeseries", "Temperature", "Temperatures of each board, where it has sensors.", "celsius",
        [('edgedyno_board_temperature_celsius{board=~"$board"}', "{{board}} {{sensor}}")], (0, 28, 8, 7),
    ),
    panel(
        "timeseries", "Results a second", "Rate of results committed to the database.", "ops",
        [("sum(rate(edgedyno_ingest_results_total[$__rate_interval]))", "committed")], (8, 28, 8, 7),
    ),
    panel(
        "timeseries", "Results waiting on boards", "Results that a board keeps until the ack.", "none",
        [('edgedyno_board_outbox_messages{board=~"$board"}', "{{board}}")], (16, 28, 8, 7),
    ),
    panel(
        "table", "Boards that stand out",
        "Boards that are slower, hungrier or hotter than others of their type beyond the intervals, or throttle alone; "
        "edgedyno boards compare says what differs there.",
        "none", [('edgedyno_board_outlier{board=~"$board"} == 1', "")], (0, 42, 8, 7),
    ),
    panel(
        "timeseries", "Throttled", "1 while a board throttles; nothing where it cannot tell.", "bool_yes_no",
        [('edgedyno_board_throttled{board=~"$board"}', "{{board}}")], (8, 42, 8, 7),
    ),
    panel(
        "timeseries", "Clock", "Clocks of each board, where it tells them.", "hertz",
        [('edgedyno_board_clock_hertz{board=~"$board"}', "{{board}} {{cluster}}")], (16, 42, 8, 7),
    ),
    panel(
        "timeseries", "Power", "Power of each board now, by its meter; meters of different scopes do not compare.",
        "watt", [('edgedyno_board_power_watts{board=~"$board"}', "{{board}} {{source}}")], (0, 49, 8, 7),
    ),
    panel(
        "stat", "Boards that refuse work", "Boards whose disk or outbox is full; they keep their results.", "none",
        [("sum(edgedyno_board_refuses_work)", "refuse"), ('sum(edgedyno_leases{state="expired"})', "stalled")],
        (8, 49, 4, 7),
    ),
    panel(
        "timeseries", "Ingest lag", "From a result's arrival at the controller to its commit.", "s",
        [(quantile(0.99, "ingest_lag"), "p99"), (quantile(0.5, "ingest_lag"), "p50")],
        (12, 49, 6, 7),
    ),
    panel(
        "timeseries", "Queue and database", "Messages that wait for the database, and how long a write takes.", "none",
        [
            ("sum(edgedyno_ingest_queue_messages)", "messages waiting"),
            (quantile(0.99, "database_write"), "p99 of a write, seconds"),
        ],
        (18, 49, 6, 7),
    ),
    panel(
        "timeseries", "What does not count",
        "Results that came twice, late, were refused or are missing from a restored database; dropped messages.", "ops",
        [
            ("sum(rate(edgedyno_ingest_duplicates_total[$__rate_interval]))", "duplicates"),
            ("sum by (flag) (rate(edgedyno_ingest_flagged_results_total[$__rate_interval]))", "{{flag}}"),
            ("sum by (code) (rate(edgedyno_ingest_refusals_total[$__rate_interval]))", "refused {{code}}"),
            ("sum(rate(edgedyno_ingest_forgotten_results_total[$__rate_interval]))", "forgotten"),
            ("sum(rate(edgedyno_ingest_dropped_total[$__rate_interval]))", "dropped"),
        ],
        (0, 56, 12, 7),
    ),
    panel(
        "timeseries", "Controller's disk", "Free space where the controller keeps its data, and its database.", "bytes",
        [("min(edgedyno_data_free_bytes)", "free"), ("max(edgedyno_database_bytes)", "database")], (12, 56, 12, 7),
    ),
]  # fmt: skip


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a variable that lists a label's values, all of them at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> str:
    """Return the dashboard as JSON text."""
    board = {
        "uid": "edgedyno",
        "title": "edgedyno",
        "description": "Boards, executions and what they measured.",
        "schemaVersion": 41,
        "tags": ["edgedyno"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                variable("board", "Board", "label_values(edgedyno_board_online, board)"),
                variable("model", "Model", "label_values(edgedyno_result_latency_seconds, model)"),
            ]
        },
        "panels": [{"id": number, **one} for number, one in enumerate(PANELS, start=1)],
    }
    return json.dumps(board, indent=2) + "\n"


def main() -> int:
    """Write the file, or with --check return 1 when it is not current."""
    text = dashboard()
    current = TARGET.exists() and TARGET.read_text() == text
    if "--check" not in sys.argv:
        TARGET.write_text(text)
        current = True
    print("dashboard current" if current else "dashboard differs: run python deploy/grafana/dashboard.py")
    return int(not current)


if __name__ == "__main__":
    sys.exit(main())
