"""Short names for trials: precision and threads, and of the rest only what differs between them.

Where several runtimes have the same threads throughout, those are left out too. A version is named for the runtimes
only that have several.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict.phrases import listed, threads_in_words
from edgedyno.core.precision import name_precision, ran_otherwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgedyno.core.result import Result


def label_trials(results: Iterable[Result]) -> dict[str, str]:
    """Return a label for each trial id, unique among `results`."""
    trials = list(results)
    varying = {name for name in _OPTIONAL if _varies(trials, name)}
    kept = varying if "runtime" in varying and not _varies(trials, "threads") else {*varying, "threads"}
    several = {name for name, versions in _versions(trials).items() if len(versions) > 1}
    labels = {result.trial: _label(result, kept, several) for result in trials}
    counts = Counter(labels.values())
    files = {result.trial: (result.variant_sha256 or result.trial)[:6] for result in trials}
    return {
        trial: f"{label} · {files[trial]}" if counts[label] > 1 else label for trial, label in labels.items()
    }


def describe_setting(result: Result, *, varying: Iterable[str]) -> str:
    """Write threads, and cores and batch where those vary."""
    return listed(_PARTS[name](result) for name in _SETTING if name == "threads" or name in varying)


def varying_settings(results: Iterable[Result]) -> set[str]:
    """Return which of the settings take several values."""
    trials = list(results)
    return {name for name in _SETTING if len({getattr(result, name) for result in trials}) > 1}


def precision_in_words(result: Result) -> str:
    """Write the precision with the variant's name, and what ran instead: `FP16 (ran FP32)`."""
    ran = ran_otherwise(result)
    if ran is None:
        return name_precision(result)
    asked = f"{result.precision.upper()} {result.variant}".rstrip()
    return say("{asked} (ran {ran})", asked=asked, ran=say("mixed") if ran == "mixed" else ran.upper())


def runtime_name(result: Result) -> str:
    """Write the runtime with its version."""
    return f"{result.runtime} {result.runtime_version}" if result.runtime_version else result.runtime


def _varies(trials: list[Result], name: str) -> bool:
    """Tell whether a part is worth naming; version and format vary only within one runtime."""
    if name in {"runtime_version", "format"}:
        pairs = {(result.runtime, getattr(result, name)) for result in trials if result.status == "ok"}
        return len(pairs) > len({runtime for runtime, _ in pairs})
    return len({getattr(result, name) for result in trials}) > 1


def _versions(trials: list[Result]) -> dict[str, set[str | None]]:
    """Return the versions of each runtime."""
    found: dict[str, set[str | None]] = {}
    for result in trials:
        found.setdefault(result.runtime, set()).add(result.runtime_version)
    return found


def _label(result: Result, kept: set[str], several: set[str]) -> str:
    left_out = set() if result.runtime in several else {"runtime_version"}
    names = [name for name in _PARTS if name == "precision" or name in kept - left_out]
    return " · ".join(_PARTS[name](result) for name in names)


def _cores(result: Result) -> str:
    named = result.cores.replace("_", "").isalpha()
    return say("{name} cores", name=result.cores) if named else say("cores {cpus}", cpus=result.cores)


_PARTS: dict[str, Callable[[Result], str]] = {
    "precision": precision_in_words,
    "runtime": lambda result: result.runtime,
    "runtime_version": lambda result: result.runtime_version or say("no version"),
    "format": lambda result: result.format,
    "threads": lambda result: threads_in_words(result.threads),
    "cores": _cores,
    "batch": lambda result: say("batch {size}", size=result.batch),
    "scenario": lambda result: result.scenario,
}
_OPTIONAL = _PARTS.keys() - {"precision", "threads"}
_SETTING = ("threads", "cores", "batch", "scenario")
