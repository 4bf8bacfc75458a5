"""From what was measured to the result record; every quantity that is missing says why."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from msgspec import structs

from edgedyno.agent.measure.gating import with_gating
from edgedyno.agent.measure.race import is_hopeless
from edgedyno.agent.measure.rounds import judge_rounds
from edgedyno.agent.measure.scenarios import scenario_fields
from edgedyno.agent.measure.simulated import REASON as SIMULATED
from edgedyno.agent.measure.stages import stage_fields
from edgedyno.agent.measure.stopping import groups_of
from edgedyno.core.manifest import Failure
from edgedyno.core.result import Conditions, Result, Status, Validity
from edgedyno.core.statistics import (
    MIN_GROUPS,
    after_switch_cost,
    steadiness_reasons,
    summarize,
)
from edgedyno.core.units import format_seconds

if TYPE_CHECKING:
    from edgedyno.agent.measure.journal import PassLog, TrialLog
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.core.run import RunRequest

# What a user asked for and this variant or board cannot do is skipped; everything else is a failure.
SKIPPING_CODES = frozenset(["batch.fixed", "threads.beyond"])


def skipped_result(cell: Cell, request: RunRequest) -> Result:
    """Make the record of a cell that is not run."""
    reason = cell.failure.text if cell.failure else "not run"
    conditions = Conditions(
        kernel=request.capabilities.kernel, agent_version=request.capabilities.agent_version
    )
    return Result(
        **_identity(cell, request),
        **_nothing(f"skipped: {reason}"),
        selftest_reason=f"skipped: {reason}",
        profile_reason=f"skipped: {reason}" if request.manifest.measure.profile else None,
        status="skipped",
        failure=cell.failure,
        conditions=conditions,
        validity=Validity(valid=True),
        started_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        monotonic_seconds=time.monotonic(),
    )


def trial_result(
    cell: Cell,
    request: RunRequest,
    *,
    log: TrialLog,
    accuracy: PassLog,
    input_name: str,
    samples_sha256: str | None,
    simulated: bool = False,
) -> Result:
    """Make the record of a trial that was run; of a simulated one nothing that depends on time is kept."""
    failure = log.failure or accuracy.failure or (_not_simulated(accuracy) if simulated else None)
    measured = (
        _nothing(f"{failure.code}: {failure.text}") if failure else _measured(cell, request, log, accuracy)
    )
    if simulated:
        measured |= _timeless()
    return Result(
        **_identity(cell, request),
        **measured,
        status=_status(failure),
        failure=failure,
        load_seconds=log.load_seconds,
        first_inference_seconds=log.first_inference_seconds,
        eliminated=log.eliminated,
        peak_rss_bytes=log.peak_rss_bytes,
        conditions=_conditions(cell, request, log, input_name),
        validity=_validity(log, may_drift=cell.scenario.startswith("soak")),
        samples_sha256=samples_sha256,
        selftest=accuracy.selftest,
        selftest_reason=None if accuracy.selftest else accuracy.selftest_reason or accuracy.reason,
        **_profile(request, log, failure, simulated=simulated),
        started_at=log.started_at or datetime.now(timezone.utc).isoformat(timespec="seconds"),
        monotonic_seconds=time.monotonic() if log.monotonic_seconds is None else log.monotonic_seconds,
    )


def _profile(
    request: RunRequest, log: TrialLog, failure: Failure | None, *, simulated: bool
) -> dict[str, Any]:
    """Return the profile that was asked for, or why there is none."""
    if not request.manifest.measure.profile:
        return {}
    reason = log.profile_reason or (SIMULATED if simulated else None)
    if failure is not None:
        reason = f"{failure.code}: {failure.text}"
    return {"profile_sha256": log.profile_sha256, "profile_reason": None if log.profile_sha256 else reason}


def _not_simulated(accuracy: PassLog) -> Failure | None:
    """Return why a simulated trial came to nothing: its accuracy pass is all that it is."""
    if accuracy.predictions_sha256 or accuracy.effective_precision or accuracy.reason is None:
        return None
    code, _, text = accuracy.reason.partition(": ")
    return Failure(code, text) if text else Failure("simulated.failed", accuracy.reason)


def _timeless() -> dict[str, Any]:
    """Return what takes the place of everything that has to do with time or power."""
    gone = ("latency_seconds", "energy_joules_per_inference", "power_watts", "stages")
    return {
        **dict.fromkeys(
            (*gone[:3], "settled", "throughput_per_second", "preprocess_seconds", "postprocess_seconds")
        ),
        **{f"{name}_reason": SIMULATED for name in gone},
    }


def _status(failure: Failure | None) -> Status:
    if failure is None:
        return "ok"
    return "skipped" if failure.code in SKIPPING_CODES else "failed"


def _identity(cell: Cell, request: RunRequest) -> dict[str, Any]:
    manifest = request.manifest
    return {
        "job": manifest.job,
        "execution": manifest.execution,
        "attempt": request.attempt,
        "board": request.board,
        "model": manifest.model.name,
        "trial": cell.trial,
        "variant_sha256": cell.variant_sha256,
        "format": cell.variant.format,
        "variant": cell.variant.name,
        "runtime": cell.runtime,
        "runtime_version": cell.runtime_version,
        "precision": cell.variant.precision,
        "threads": cell.threads,
        "cores": cell.cores,
        "cpus": cell.cpus,
        "batch": cell.batch,
        "scenario": cell.scenario,
        "size_bytes": cell.variant.file.size_bytes if cell.variant.file else None,
    }


def _nothing(reason: str) -> dict[str, Any]:
    """Give one reason for everything that was not measured."""
    names = (
        "effective_precision",
        "latency_seconds",
        "energy_joules_per_inference",
        "power_watts",
        "accuracy",
        "accuracy_drop",
        "fidelity",
        "stages",
    )
    return {f"{name}_reason": reason for name in names}


def _measured(cell: Cell, request: RunRequest, log: TrialLog, accuracy: PassLog) -> dict[str, Any]:
    count_void = _counts_void(log)
    latency = summarize(
        groups_of(log, count_void=count_void),
        stopped=log.settled,
        loads=len({each.load for each in log.bursts}),
    )
    power_reason = log.power_reason or no_power_reason(request)
    not_scored = accuracy.reason or "predictions are scored by the controller"
    return {
        "effective_precision": accuracy.effective_precision,
        "effective_precision_detail": accuracy.effective_precision_detail,
        "effective_precision_reason": accuracy.effective_precision_reason,
        **stage_fields(accuracy),
        "latency_seconds": latency,
        "latency_seconds_reason": None if latency else _too_short(request, log),
        "settled": log.settled,
        "after_switch_seconds": after_switch_cost(log.bursts),
        "throughput_per_second": cell.batch / latency.mean if latency else None,
        "energy_joules_per_inference": log.energy,
        "energy_joules_per_inference_reason": None if log.energy else power_reason,
        "power_watts": log.power,
        "power_watts_reason": None if log.power else power_reason,
        "accuracy_reason": not_scored,
        "accuracy_drop_reason": not_scored,
        "fidelity": accuracy.fidelity,
        "fidelity_reason": accuracy.fidelity_reason or (None if accuracy.fidelity else accuracy.reason),
        "threads_check": accuracy.threads_check,
        "images": accuracy.images,
        "predictions_sha256": accuracy.predictions_sha256,
        **scenario_fields(request.manifest.sweep, cell.batch, log, count_void=count_void),
    }


def _too_short(request: RunRequest, log: TrialLog) -> str:
    """Say why there was no burst."""
    warm = sorted(log.warmup_seconds)
    before = (log.load_seconds or 0.0) + sum(warm)
    text = (
        f"{format_seconds(request.manifest.measure.max_seconds)} were too short for a burst of every trial: "
        f"loading and warming up this one took {format_seconds(before)}"
    )
    return f"{text}, one inference {format_seconds(warm[len(warm) // 2])}" if warm else text


def no_power_reason(request: RunRequest) -> str:
    """Say why there is no power reading."""
    sources = request.capabilities.power
    if not sources:
        return "no power sensor found"
    return "; ".join(f"{source.source}: {source.reason or 'available, but not chosen'}" for source in sources)


def _counts_void(log: TrialLog) -> bool:
    """Return whether void bursts have to stand in, because too few quiet ones were had."""
    quiet = sum(burst.valid for burst in log.bursts)
    return is_hopeless(log) or quiet < min(MIN_GROUPS, len(log.bursts))


def _conditions(cell: Cell, request: RunRequest, log: TrialLog, input_name: str) -> Conditions:
    seen = (log.void if _counts_void(log) else log.quiet) or log.quiet or log.void
    conditions = seen.conditions if seen else Conditions(kernel=request.capabilities.kernel)
    extra: dict[str, Any] = {
        **conditions.extra,
        "environment": cell.environment,
        "input": input_name,
        **_cpu_use(log),
        **log.placing,
        **log.notes,
        **{f"metered_{name}": value for name, value in log.metered.items()},
    }
    version = conditions.agent_version or request.capabilities.agent_version
    return structs.replace(
        with_gating(conditions, log.waits),
        agent_version=version,
        rounds=log.quiet_rounds + log.void_rounds,
        void_rounds=log.void_rounds,
        extra=extra,
    )


def _cpu_use(log: TrialLog) -> dict[str, float]:
    """Relate the worker's CPU time and its waiting for a CPU to the time that its bursts took."""
    wall = sum(sum(burst.latency_seconds) for burst in log.bursts)
    waiting = {} if log.waiting_cpu_ratio is None else {"waiting_cpu_ratio": log.waiting_cpu_ratio}
    if wall <= 0:
        return waiting
    return {
        **waiting,
        "busy_cpus": sum(burst.cpu_seconds or 0.0 for burst in log.bursts) / wall,
    }


def _validity(log: TrialLog, *, may_drift: bool) -> Validity:
    """Judge a trial; `may_drift` where the drift is what was asked for."""
    seen = [each.validity for each in (log.quiet, log.void) if each]
    not_checkable = list(dict.fromkeys(text for each in seen for text in each.not_checkable))
    reasons = [log.strayed] if log.strayed else []
    void = judge_rounds(quiet=log.quiet_rounds, void=log.void_rounds, enough_quiet=not _counts_void(log))
    if log.void and void:
        reasons += [*void, *log.void.validity.reasons]
    if not may_drift:
        reasons += steadiness_reasons(groups_of(log, count_void=_counts_void(log)))
    return Validity(valid=not reasons, reasons=reasons, not_checkable=not_checkable)
