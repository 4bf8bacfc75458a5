"""One execution from request to results: plan, load, warm up, race, accuracy, records. No network."""

from __future__ import annotations

import errno
import logging
import math
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.environments import default_environments, find_plugins
from edgedyno.agent.measure import scenarios
from edgedyno.agent.measure.accuracy import pass_key, run_passes
from edgedyno.agent.measure.agenda import Agenda
from edgedyno.agent.measure.contender import Contender
from edgedyno.agent.measure.gating import Gate
from edgedyno.agent.measure.inputs import write_latency_input
from edgedyno.agent.measure.journal import Journal, PassLog, RunLog
from edgedyno.agent.measure.meter import Meter, open_meter
from edgedyno.agent.measure.placement import move_runner, read_placement, restored_affinity
from edgedyno.agent.measure.planner import Cell, plan
from edgedyno.agent.measure.power import BUDGET_SHARE, Surroundings, meter_all, needed_seconds
from edgedyno.agent.measure.profiling import run_profiles
from edgedyno.agent.measure.race import Race
from edgedyno.agent.measure.record import skipped_result, trial_result
from edgedyno.agent.measure.series import series_of
from edgedyno.agent.measure.simulated import is_simulated, without_repetitions
from edgedyno.agent.measure.supervisor import Deadlines, Launch
from edgedyno.agent.measure.validity import Watch
from edgedyno.agent.sensors.base import Unavailable
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.manifest import Failure
from edgedyno.core.messages import Progress
from edgedyno.core.result import Samples
from edgedyno.core.run import Ended, Finished, Progressed
from edgedyno.core.scenario import check_scenario
from edgedyno.core.statistics import loads_wanted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edgedyno.agent.measure.race import Pace
    from edgedyno.core.messages import Phase
    from edgedyno.core.run import Event, RunRequest

# Half of the memory for workers: the other half is for pages of the system, the runner and the daemon.
MEMORY_SHARE = 0.5
WORKER_MEMORY_SHARE = 0.8
UNKNOWN_RSS_BYTES = 200 * 2**20  # an OpenVINO worker with a small model: the largest that was measured
MAX_WORKERS = 16  # more in one block and neighbours in it are too far apart
MIN_RACE_SECONDS = 1.0
MIN_ROUNDS = 3  # of a large sweep's race: without a burst of each its variants would have no result
SPINNING_SECONDS = 0.25  # OpenMP's threads spin for 0.2 s by default when a parallel region has ended
RELOAD_SHARE = 0.2  # of the time, for giving trials fresh processes
GATING_SHARE = 0.25  # of the time: a board that needs longer to cool down is measured hot, and says so
SAVE_SECONDS = 3.0
PROGRESS_SECONDS = 1.0
_log = logging.getLogger(__name__)


def run(
    request: RunRequest,
    emit: Callable[[Event], None],
    stop: threading.Event,
    *,
    deadlines: Deadlines | None = None,
) -> None:
    """Run one execution; always ends with one Ended."""
    failure: Failure | None = None
    try:
        _Execution(request, emit, stop, deadlines or Deadlines()).run()
    except EdgedynoError as error:
        _log.exception("the run cannot go on")
        failure = Failure(error.code, str(error))
    except Exception as error:  # noqa: BLE001 - the process boundary; the traceback is logged
        _log.exception("the runner failed")
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        failure = Failure("storage.full" if full else "runner.failed", f"{type(error).__name__}: {error}")
    if failure is None and stop.is_set():
        failure = Failure("canceled", "stopped before every trial had its result")
    emit(Ended(failure))


class _Execution:
    """The state of one execution."""

    def __init__(
        self,
        request: RunRequest,
        emit: Callable[[Event], None],
        stop: threading.Event,
        deadlines: Deadlines,
    ) -> None:
        self._request = request
        self._emit = emit
        self._stop = stop
        self._journal = Journal(Path(request.work_dir))
        self._plan = without_repetitions(plan(request.manifest, request.capabilities), request.capabilities)
        self._launch = self._make_launch(deadlines)
        self._timed = [cell for cell in self._plan.trials if not is_simulated(cell, request.capabilities)]
        self._agenda = Agenda(self._timed, request.manifest, self._journal, done=request.done_trials)
        self._scenario = request.manifest.sweep.scenario
        self._gate = Gate(
            limit_seconds=GATING_SHARE * request.manifest.measure.max_seconds,
            start_celsius=self._journal.run().start_celsius,
        )
        self._began = time.monotonic()
        self._spent_before = self._journal.run().spent_seconds
        self._measuring_since: float | None = None
        self._load_seconds = math.inf
        self._done = len(request.done_trials)
        self._phase: Phase = "settle"
        self._last_progress = -PROGRESS_SECONDS
        self._last_save = self._began
        self._watch: Watch | None = None
        self._input = self._journal.scratch / "latency-input.npy"
        self._input_name = ""

    def _make_launch(self, deadlines: Deadlines) -> Launch:
        request = self._request
        environments = {each.name: each.python for each in request.environments or default_environments()}
        environments.setdefault("default", sys.executable)
        return Launch(
            pythons=environments,
            plugins={plugin.name: plugin for plugin in find_plugins()},
            files=request.files,
            scratch=str(self._journal.scratch),
            memory_bytes=int((request.capabilities.memory_bytes or 0) * WORKER_MEMORY_SHARE) or None,
            deadlines=deadlines,
            fence=request.fence,
        )

    def run(self) -> None:
        """Do all phases."""
        for cell in self._plan.skipped:
            if cell.trial not in self._request.done_trials:
                self._finish(Finished(skipped_result(cell, self._request)))
        todo = [cell for cell in self._plan.trials if cell.trial not in self._request.done_trials]
        if not todo:
            return
        check_scenario(
            self._scenario,
            max_seconds=self._request.manifest.measure.max_seconds,
            trials=len(self._timed),
        )
        self._progress("settle", force=True)
        self._input_name = write_latency_input(self._request.manifest, self._launch.files, self._input)
        if self._timed:
            self._race_all()
        left_out = {cell.trial: cell for cell in self._agenda.left_out()} if self._timed else {}
        tried = [cell for cell in todo if cell.trial not in left_out]
        if not self._stop.is_set():
            self._accuracy(tried)
        if not self._stop.is_set() and self._request.manifest.measure.profile:
            self._profiles(tried)
        if not self._stop.is_set():
            for cell in tried:
                self._finish(self._record(cell))
            for cell in left_out.values():
                self._finish(Finished(skipped_result(cell, self._request)))

    # -- measuring

    def _race_all(self) -> None:
        """Race all trials that the agenda asks for, in as many groups as memory asks for."""
        self._measuring_since = time.monotonic()
        while not self._stop.is_set():
            waiting = self._agenda.waiting(self._measured_seconds())
            if not waiting:
                break
            group = self._load_group(waiting, self._agenda.reference())
            rest = {cell.trial for cell in waiting} - {contender.cell.trial for contender in group}
            try:
                self._race(group, groups_left=self._agenda.groups_left(len(rest), len(group)))
            finally:
                for contender in group:
                    contender.close()
                self._save(group)

    def _load_group(self, waiting: Sequence[Cell], reference: Cell) -> list[Contender]:
        """Load the reference and as many others as memory allows, at least one of those that wait."""
        self._progress("warm-up", force=True)
        began = time.monotonic()
        budget = (self._request.capabilities.memory_bytes or math.inf) * MEMORY_SHARE
        group: list[Contender] = []
        used = 0
        cells = [reference, *(cell for cell in waiting if cell.trial != reference.trial)]
        for cell in cells:
            largest = max((each.log.peak_rss_bytes or 0 for each in group), default=0) or UNKNOWN_RSS_BYTES
            full = len(group) > 1 and (used + largest > budget or len(group) >= MAX_WORKERS)
            if full or self._stop.is_set():
                break
            contender = Contender(cell, self._journal.trial(cell.trial))
            if contender.log.failure is None:
                contender.load(self._launch, self._input)
                contender.warm_up()
            used += contender.log.peak_rss_bytes or 0
            group.append(contender)
            self._progress("warm-up")
        self._load_seconds = max(time.monotonic() - began, 1e-3)
        self._stop.wait(SPINNING_SECONDS)
        for contender in group:
            contender.park_if_spinning()
        return group

    def _race(self, group: list[Contender], *, groups_left: int) -> None:
        """Measure one loaded group in its share of the time, then meter it."""
        waited = self._gate.wait(self._stop)
        for contender in group:
            contender.log.waits.append(waited)
        left = self._request.manifest.measure.max_seconds - self._measured_seconds()
        least = scenarios.least_seconds(self._scenario, sum(not each.log.finished for each in group))
        left = max(MIN_RACE_SECONDS + least, left / groups_left)
        if isinstance(self._scenario, str) and self._agenda.is_searched:
            # Loading may have used up the time: what was loaded is worth its bursts.
            left = max(left, MIN_ROUNDS * sum(each.burst_seconds for each in group if each.alive))
        meter = (
            open_meter(meters=self._request.meters)
            if scenarios.is_metered(self._scenario)
            else Unavailable(scenarios.NOT_METERED)
        )
        metering = 0.0
        if isinstance(meter, Meter):
            metering = min(needed_seconds(meter, len(group)), left * BUDGET_SHARE, left - least)
        else:
            for contender in group:
                contender.log.power_reason = meter.reason
        finished_before = self._done
        self._progress("measure", force=True)

        def between(pace: Pace) -> None:
            self._done = finished_before + pace.finished
            self._progress("measure", eta_seconds=pace.eta_seconds)
            if time.monotonic() - self._last_save > SAVE_SECONDS:
                self._save(group)

        until = time.monotonic() + left
        with restored_affinity():
            watch = self._measure(group, left - metering, between)
            if isinstance(meter, Meter):
                placement = read_placement(self._request.capabilities)
                expected = scenarios.looked_for(self._scenario)
                surroundings = Surroundings(watch, placement, self._stop, self._tell_metering, expected)
                meter_all(group, meter, surroundings, seconds=max(metering, until - time.monotonic()))
                meter.close()
        self._done = finished_before

    def _measure(self, group: list[Contender], seconds: float, between: Callable[[Pace], None]) -> Watch:
        """Race a group, or run its scenario; return what watched the board."""
        request = self._request
        cpus = sorted({cpu for contender in group for cpu in contender.cell.cpus})
        watch = Watch(cpus=cpus, agent_version=request.capabilities.agent_version)
        placement = read_placement(request.capabilities)
        self._watch = watch
        precision = request.manifest.measure.precision
        order = random.Random(request.manifest.execution)  # noqa: S311 - an order, not a secret
        if isinstance(self._scenario, str):
            race = Race(
                group,
                precision=precision,
                seconds=seconds,
                watch=watch,
                placement=placement,
                order=order,
                loads=min(loads_wanted(precision), 1 + int(RELOAD_SHARE * seconds / self._load_seconds)),
            )
            race.run(self._stop, between)
            return watch
        move_runner(placement.spare([contender.cell for contender in group], 0))
        setting = scenarios.Setting(
            seconds=seconds,
            precision=precision,
            watch=watch,
            gate=self._gate,
            order=order,
            launch=self._launch,
            tensor=self._input,
            memory_bytes=(request.capabilities.memory_bytes or math.inf) * MEMORY_SHARE,
        )
        scenarios.run(self._scenario, group, setting, stop=self._stop, between=between)
        return watch

    def _tell_metering(self, left_seconds: float) -> None:
        self._progress("measure", current="power", eta_seconds=left_seconds)

    def _measured_seconds(self) -> float:
        since = time.monotonic() - (self._measuring_since or time.monotonic())
        return self._spent_before + since

    def _save(self, group: Sequence[Contender]) -> None:
        for contender in group:
            self._journal.save_trial(contender.log)
        if self._watch:
            self._journal.add_series(self._watch.series.take())
        self._journal.save_run(
            RunLog(self._measured_seconds(), self._agenda.finalists, self._gate.start_celsius)
        )
        self._last_save = time.monotonic()

    # -- accuracy

    def _accuracy(self, todo: list[Cell]) -> None:
        """Run the accuracy passes of the trials that did not fail."""
        self._progress("accuracy", force=True)
        cells = [cell for cell in todo if self._journal.trial(cell.trial).failure is None]
        began = time.monotonic()
        resumed_at: int | None = None

        def between(done: int, total: int) -> None:
            nonlocal resumed_at
            resumed_at = done - 1 if resumed_at is None else resumed_at
            gone = time.monotonic() - began
            self._progress(
                "accuracy",
                eta_seconds=gone / (done - resumed_at) * (total - done),
                images=(done, total),
            )

        run_passes(
            cells,
            manifest=self._request.manifest,
            launch=self._launch,
            journal=self._journal,
            latency_input=self._input,
            stop=self._stop,
            between=between,
        )

    def _profiles(self, todo: list[Cell]) -> None:
        """Profile the trials that did not fail and whose operators' times mean something."""
        timed = {cell.trial for cell in self._timed}
        began = time.monotonic()

        def between(done: int, total: int) -> None:
            gone = time.monotonic() - began
            self._progress("accuracy", eta_seconds=gone / done * (total - done))

        run_profiles(
            [
                cell
                for cell in todo
                if cell.trial in timed and self._journal.trial(cell.trial).failure is None
            ],
            launch=self._launch,
            journal=self._journal,
            tensor=self._input,
            stop=self._stop,
            between=between,
        )

    # -- records and progress

    def _record(self, cell: Cell) -> Finished:
        log = self._journal.trial(cell.trial)
        accuracy = self._journal.accuracy_pass(pass_key(cell)) or PassLog(reason="no accuracy pass was run")
        samples = None
        if log.bursts:
            board = series_of(self._journal.series(), log.bursts)
            samples = self._journal.add_artifact(Samples(log.trial, log.warmup_seconds, log.bursts, board))
        record = trial_result(
            cell,
            self._request,
            log=log,
            accuracy=accuracy,
            input_name=self._input_name,
            samples_sha256=samples,
            simulated=is_simulated(cell, self._request.capabilities),
        )
        kept = (record.samples_sha256, record.predictions_sha256, record.profile_sha256)
        names = [name for name in kept if name]
        return Finished(record, {name: str(self._journal.artifacts / name) for name in names})

    def _finish(self, event: Finished) -> None:
        self._emit(event)
        self._done += 1
        self._progress(self._phase, current=event.record.trial)

    def _progress(
        self,
        phase: Phase,
        *,
        eta_seconds: float | None = None,
        current: str = "",
        images: tuple[int, int] = (0, 0),
        force: bool = False,
    ) -> None:
        """Tell how far it is, about once a second, and never inside a burst."""
        now = time.monotonic()
        self._phase = phase
        if not force and now - self._last_progress < PROGRESS_SECONDS:
            return
        self._last_progress = now
        total = len(self._plan.trials) + len(self._plan.skipped)
        self._emit(
            Progressed(
                Progress(
                    phase,
                    min(self._done, total),
                    total,
                    current,
                    now - self._began,
                    eta_seconds,
                    images_done=images[0],
                    images_total=images[1],
                )
            )
        )
