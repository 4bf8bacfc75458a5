"""Windows and schedules by the wall clock: summer time, steps of the clock, missed times."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedyno.controller.rollout.check import check_spec
from edgedyno.controller.rollout.cron import look, next_after
from edgedyno.controller.rollout.windows import closed_until
from edgedyno.core.document import decode_yaml
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import JobSpec
from edgedyno.core.rollout import Cron, Window

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Window(from_="22:00", to="06:00", timezone="Europe/Berlin")


def berlin(text: str, *, fold: int = 0) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        (NIGHT, "2024-01-15T21:59:59", "2024-01-15T22:00"),
        (NIGHT, "2024-01-15T22:00", None),
        (NIGHT, "2024-01-16T05:59:59", None),
        (NIGHT, "2024-01-16T06:00", "2024-01-16T22:00"),
        (Window("22:00", "06:00", ["fri"], "Europe/Berlin"), "2024-01-20T05:00", None),
        (Window("22:00", "06:00", ["fri"], "Europe/Berlin"), "2024-01-21T05:00", "2024-01-26T22:00"),
        (Window(1320, 360, [], "Europe/Berlin"), "2024-01-15T23:00", None),
        (Window("00:00", "24:00", [], "Europe/Berlin"), "2024-01-15T12:00", None),
        (Window("12:00", "12:00", ["mon"], "Europe/Berlin"), "2024-01-16T11:59", None),
        (Window("12:00", "12:00", ["mon"], "Europe/Berlin"), "2024-01-16T12:00", "2024-01-22T12:00"),
        # 02:30 does not come on the last Sunday of March: it opens an hour later, when the clock shows 03:30.
        (Window("02:30", "05:00", [], "Europe/Berlin"), "2024-03-31T01:59", "2024-03-31T03:30"),
        # A night is an hour longer in October, an hour shorter in March.
        (NIGHT, "2024-10-27T05:59", None),
        (NIGHT, "2024-03-31T06:00", "2024-03-31T22:00"),
    ],
)
def test_windows(window: Window, now: str, opens: str | None) -> None:
    found = closed_until([window], berlin(now))
    assert found == (berlin(opens) if opens else None)


def test_a_window_that_ends_at_a_time_that_comes_twice_ends_at_the_second() -> None:
    window = Window("01:00", "02:30", [], "Europe/Berlin")
    assert closed_until([window], berlin("2024-10-27T02:29", fold=1)) is None
    assert closed_until([window], berlin("2024-10-27T02:30", fold=1)) == berlin("2024-10-28T01:00")


def test_of_several_windows_the_first_to_open_counts() -> None:
    windows = [NIGHT, Window("12:00", "13:00", [], "UTC")]
    assert closed_until(windows, utc("2024-01-15T09:00")) == utc("2024-01-15T12:00")
    assert closed_until([], utc("2024-01-15T09:00")) is None


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.lists(st.sampled_from(["mon", "wed", "sun"]), max_size=3, unique=True),
    st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2025, 1, 1)),  # noqa: DTZ001 - its zone is given next
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_what_is_closed_opens_when_it_says(
    begin: int, end: int, days: list[str], now: dt.datetime, zone: str
) -> None:
    window = Window(begin, end, days, zone)  # type: ignore[arg-type]
    moment = now.replace(tzinfo=dt.timezone.utc)
    opens = closed_until([window], moment)
    if opens is not None:
        assert opens > moment
        # A window of minutes that falls into the hour that clocks skip may be empty, and then opens another day.
        assert closed_until([window], opens) is None
        assert closed_until([window], opens - dt.timedelta(seconds=1)) is not None


DAILY = Cron("30 2 * * *", "Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "after"),
    [
        ("2024-01-15T02:29", "2024-01-15T02:30"),
        ("2024-01-15T02:30", "2024-01-16T02:30"),
        # Skipped by clocks that go forward, it comes at once afterwards, as Debian's cron does.
        ("2024-03-31T01:59", "2024-03-31T03:00"),
        ("2024-10-27T02:30", "2024-10-28T02:30"),
    ],
)
def test_next_times(now: str, after: str) -> None:
    assert next_after(DAILY, berlin(now)) == berlin(after)


def test_a_year_of_days_has_one_run_each_whatever_the_clocks_do() -> None:
    """The clock is looked at every hour, at half past; it never gives a local day two runs, or none."""
    now = berlin("2024-01-01T00:30").astimezone(dt.timezone.utc)
    next_at, runs = next_after(DAILY, now), []
    for _ in range(24 * 366):
        now += dt.timedelta(hours=1)
        found = look(DAILY, next_at, now)
        next_at = found.next_at
        if found.run:
            runs.append(found.run.astimezone(BERLIN).date())
    assert len(runs) == len(set(runs)) == 366


def test_missed_times_give_one_run_at_most() -> None:
    hourly = Cron("0 * * * *", late=3600.0)
    found = look(hourly, utc("2024-01-15T01:00"), utc("2024-01-18T12:20"))
    assert (found.run, found.next_at, found.missed) == (
        utc("2024-01-18T12:00"), utc("2024-01-18T13:00"), True,
    )  # fmt: skip
    daily = Cron("0 2 * * *", late=3600.0)
    found = look(daily, utc("2024-01-15T02:00"), utc("2024-01-18T12:20"))
    assert (found.run, found.next_at, found.missed) == (None, utc("2024-01-19T02:00"), True)


def test_a_clock_set_back_gives_no_time_twice() -> None:
    hourly = Cron("0 * * * *")
    found = look(hourly, utc("2024-01-15T12:00"), utc("2024-01-15T12:00"))
    assert found.run == utc("2024-01-15T12:00")
    back = look(hourly, found.next_at, utc("2024-01-15T11:30"))
    assert (back.run, back.next_at) == (None, utc("2024-01-15T13:00"))


def test_a_clock_that_was_years_ahead_does_not_stop_a_series() -> None:
    hourly = Cron("0 * * * *")
    found = look(hourly, utc("2038-01-01T01:00"), utc("2024-01-15T11:30"))
    assert (found.run, found.next_at) == (None, utc("2024-01-15T12:00"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schedule: {cron: '0 2 * *'}", "schedule.cron: found '0 2 * *', expected five fields"),
        ("schedule: {cron: '0 25 * * *'}", "such as '0 2 * * mon-fri': bad hour"),
        ("schedule: {cron: '0 0 30 2 *'}", "bad day-of-month"),
        ("schedule: {cron: '0 2 * * *', timezone: Europe/Berlni}", "did you mean 'Europe/Berlin'?"),
        ("schedule: continous", "did you mean 'continuous'?"),
        ("windows: [{from: '25:00', to: '06:00'}]", "windows[0].from: found '25:00'"),
        ("windows: [{from: '22:00', to: '06:00', days: [sut]}]", "did you mean 's"),
        ("windows: [{from: '22:00', to: '06:00', timezone: Mars}]", "windows[0].timezone: found 'Mars'"),
        ("rollout: {canary: 0}", "rollout.canary"),
        ("rollout: {waves: [0%]}", "rollout.waves[0]: found '0%', expected a share above 0%"),
        ("rollout: {waves: [10, 5]}", "rollout.waves[1]: found 5 after 10 of waves[0], expected more"),
        ("rollout: {waves: [101%]}", "up to 100%"),
        ("rollout: {then: stop}", "rollout.then: found 'stop', expected 'next' or 'pause'"),
        ("rollout: {succes: 90%}", "did you mean 'success'?"),
        ("boards: {except: {label: {a: b}}}", "did you mean 'labels'?"),
    ],
)
def test_mistakes_are_named_with_the_nearest_choice(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_spec(decode_yaml(f"name: it\nmodel: m\n{text}\n", JobSpec))
    assert said in str(caught.value)


def test_times_may_stand_without_quotes() -> None:
    spec = decode_yaml("name: it\nmodel: m\nwindows: [{from: 22:00, to: 06:00}]\n", JobSpec)
    assert closed_until(spec.windows, utc("2024-01-15T23:00")) is None
    assert closed_until(spec.windows, utc("2024-01-15T07:00")) == utc("2024-01-15T22:00")
