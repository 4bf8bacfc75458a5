"""Temperatures, clocks and throttling over the run."""

from __future__ import annotations

from edgedyno.controller.lab.report.plots import draw_histories
from edgedyno.controller.lab.report.plots.histories import MAX_LINES
from edgedyno.core.result import BoardSeries


def series(start: float, *, zones: int = 1, throttled: bool = False) -> BoardSeries:
    moments = [start + 0.5 * i for i in range(20)]
    return BoardSeries(
        moments,
        {f"zone{zone}": [40.0 + zone + i if i else None for i in range(20)] for zone in range(zones)},
        {"policy0": [1.8e9] * 20, "policy4": [2.4e9 - 4e7 * i for i in range(20)]},
        [["soft"] if throttled and i > 15 else [] for i in range(20)],
    )


def test_trials_that_saw_the_same_moments_are_one_line() -> None:
    one = draw_histories([series(100.0, throttled=True)], "k")
    two = draw_histories([series(100.0, throttled=True)] * 2, "k")
    assert one == two
    assert one.throttled_moments == 4
    assert one.temperature is not None
    assert one.clock is not None
    assert "zone0: 41 °C → 59 °C" in one.temperature.drawing
    assert "policy4: 2.4 GHz → 1.64 GHz" in one.clock.drawing
    assert one.clock.drawing.index("policy4") < one.clock.drawing.index("policy0"), "what moves comes first"
    assert "throttled" in one.clock.drawing
    assert "throttled" not in (draw_histories([series(0.0)], "k").clock or one.clock).drawing


def test_more_zones_than_can_be_told_apart_are_counted() -> None:
    drawn = draw_histories([series(0.0, zones=7), series(60.0, zones=7)], "k").temperature
    assert drawn is not None
    assert drawn.left_out == 7 - MAX_LINES
    assert "zone6" in drawn.drawing, "the hottest is drawn"
    assert "zone0" not in drawn.drawing


def test_a_board_that_tells_nothing_has_no_picture() -> None:
    silent = BoardSeries([1.0, 2.0], throttle_visible=False)
    for told in ([], [silent]):
        assert draw_histories(told, "k") == (None, None, 0)
