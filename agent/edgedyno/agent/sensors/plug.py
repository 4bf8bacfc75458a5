"""A smart plug on MQTT: everything behind it, at the wall.

Asks the plug for a report at the pace of the settings, so that its own slow reports (Tasmota: every 300 s) do not
limit what is known. Retained messages are of unknown age and never count.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

from edgedyno.agent.sensors.base import Available, Reading, SensorSpec, Unavailable
from edgedyno.agent.sensors.plugs import DIALECTS, Report
from edgedyno.agent.sensors.subscription import Subscription, subscribe
from edgedyno.core.broker import Broker

if TYPE_CHECKING:
    from edgedyno.core.meters import MeterSettings

MIN_WINDOW_SECONDS = 120.0  # docs/energy.md
LAG_SECONDS = (0.0, 20.0)
MAX_RATE_HERTZ = 2.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 4.0
LISTEN_SECONDS = 12.0  # Tasmota's shortest TelePeriod is 10 s.
# A message that is later than its own stamp tells, by more than this against the promptest, was held up on the way.
# The stamps of plugs have steps of a second.
HELD_UP_SECONDS = 2.0
SILENT_PERIODS = 5
SILENT_SECONDS = 10.0
KEPT = 20_000  # readings: more than five hours at one a second


class MqttPlug:
    """One outlet of one plug."""

    def __init__(self, settings: MeterSettings) -> None:
        self._settings = settings
        self._dialect = DIALECTS[settings.source]
        self._reply = f"edgedyno-{uuid.uuid4().hex[:8]}"
        self.spec = SensorSpec(
            source=settings.source,
            scope=settings.scope or "wall",
            kind="sampled",
            min_window_seconds=MIN_WINDOW_SECONDS,
            max_rate_hertz=MAX_RATE_HERTZ,
            lag_seconds=LAG_SECONDS,
        )
        self._subscription: Subscription | None = None
        self._lock = threading.Lock()
        self._heard = threading.Condition(self._lock)
        self._readings: deque[Reading] = deque(maxlen=KEPT)
        self._steps: deque[float] = deque(maxlen=KEPT)
        self._wrong: str | None = None
        self._promptest: float | None = None
        self._asked_at = float("-inf")

    def probe(self) -> Available | Unavailable:
        """Connect, ask the plug once and wait for what it says."""
        problem = self._connect()
        if problem:
            return Unavailable(problem)
        asked = self._ask()
        answered = asked and self._wait_for_one(ANSWER_SECONDS)
        if not answered and not self._wait_for_one(LISTEN_SECONDS):
            silent = f"said nothing within {LISTEN_SECONDS:g} s"
            why = self._wrong or f"{silent}; {self._dialect.silence}"
            return Unavailable(f"plug {self._settings.topic}: {why}")
        return Available(
            scope=self.spec.scope,
            rails=[],
            period_seconds=self._settings.ask_every if answered else None,
            resolution=max(self._steps),
        )

    def _connect(self) -> str | None:
        if self._subscription is None:
            broker = self._settings.broker or Broker()
            made = subscribe(broker, self._dialect.topics(self._settings, self._reply), self._take)
            if isinstance(made, str):
                return made
            self._subscription = made
        if not self._subscription.ready.wait(CONNECT_SECONDS):
            return f"{self._where()}: {self._subscription.problem or 'it does not answer'}"
        return None

    def _where(self) -> str:
        broker = self._settings.broker or Broker()
        return f"broker {broker.host}:{broker.port_or_default} of plug {self._settings.topic}"

    def _ask(self) -> bool:
        """Ask for a report if it is time to; return whether this plug is asked at all."""
        every = self._settings.ask_every
        if every <= 0 or self._subscription is None:
            return False
        now = time.monotonic()
        if now - self._asked_at >= 0.9 * every:
            self._asked_at = now
            self._subscription.publish(*self._dialect.ask(self._settings, self._reply))
        return True

    def _wait_for_one(self, seconds: float) -> bool:
        with self._heard:
            return self._heard.wait_for(lambda: bool(self._readings), seconds)

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  (the subscription's call)
        arrived = time.monotonic()
        if retained:
            return
        report = self._dialect.parse(self._settings, topic, payload)
        with self._heard:
            if isinstance(report, Unavailable):
                self._wrong = report.reason
                return
            self._readings.append(Reading(self._when(report, arrived), report.watts, report.mark))
            self._steps.append(report.step_watts)
            self._heard.notify_all()

    def _when(self, report: Report, arrived: float) -> float:
        """Return when the plug measured: on arrival, unless its own stamp says that the message was held up."""
        stamp = _parse_stamp(report.stamp)
        if stamp is None:
            return arrived
        late = arrived - stamp
        if self._promptest is None or late < self._promptest or late > self._promptest + 60:
            self._promptest = late  # The plug's clock was set anew when it is more than a minute away.
        held_up = late - self._promptest
        return arrived - held_up if held_up > HELD_UP_SECONDS else arrived

    def read(self) -> Reading | Unavailable:
        """Return the newest report, and ask for the next one."""
        problem = self._connect() if self._subscription is None else None
        if problem:
            return Unavailable(problem)
        asked = self._ask()
        with self._lock:
            last, wrong = (self._readings[-1] if self._readings else None), self._wrong
        bound = max(SILENT_SECONDS, SILENT_PERIODS * self._settings.ask_every if asked else 0.0)
        silent = time.monotonic() - last.at_seconds if last else None
        if last is not None and silent is not None and silent <= bound:
            return last
        lost = self._subscription.problem if self._subscription else None
        said = f"said nothing for {silent:.0f} s" if silent is not None else "has said nothing yet"
        return Unavailable(f"plug {self._settings.topic}: {lost or wrong or said}")

    def between(self, start_seconds: float, stop_seconds: float) -> list[Reading]:
        """Return all reports of a span, in the order of their stamps."""
        with self._lock:
            kept = [each for each in self._readings if start_seconds <= each.at_seconds <= stop_seconds]
        return sorted(kept, key=lambda reading: reading.at_seconds)

    def close(self) -> None:
        """Disconnect."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()


def _parse_stamp(text: str | None) -> float | None:
    """Return a plug's time in seconds; without a zone it is as good, because only differences are used."""
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        except ValueError:
            return None
    return number / 1000 if number > 1e11 else number  # noqa: PLR2004  (milliseconds since 1970)
