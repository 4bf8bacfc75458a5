"""What the doctor says about runtimes: what ran a model, what is broken, and how to get what is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.finding import Finding
from edgedyno.agent.provision.catalogue import entries_giving, how_to_add, is_other_build

if TYPE_CHECKING:
    from edgedyno.core.board import Capabilities, RuntimeInfo

NUMPY_SIGNS = (
    "_ARRAY_API",
    "compiled using NumPy 1",
    "numpy.core",
    # So tflite-runtime 2.14 says it, with NumPy 2, at its first model.
    "returned a result with an exception set",
)
NUMPY_REMEDY = (
    "its modules need another NumPy (tflite-runtime 2.14: numpy<2); give it an environment of its own"
)


def runtime_findings(capabilities: Capabilities) -> list[Finding]:
    """Return one finding for each runtime: first what works, then what is broken, then what is not here."""
    runtimes = capabilities.runtimes
    works = [_works(info) for info in runtimes if info.available]
    others = [info.name for info in runtimes if not info.available and is_other_build(info.name)]
    lacking = [info for info in runtimes if not info.available and info.name not in others]
    broken = [info for info in lacking if info.environment]
    absent = [_absent(info, capabilities.arch) for info in lacking if not info.environment]
    findings = [*works, *_broken(broken), *absent, *_other_builds(others)]
    if not works:
        remedy = "edgedyno agent runtimes add onnxruntime, or name an interpreter under `runtimes:`"
        findings.append(Finding("runtimes", "fail", "no runtime works here: nothing can be measured", remedy))
    return findings


def _works(info: RuntimeInfo) -> Finding:
    return Finding("runtime", "ok", f"{info.name} {info.version} in {info.environment} ran a model")


def _broken(runtimes: list[RuntimeInfo]) -> list[Finding]:
    """Say once what ails a whole environment."""
    groups: dict[tuple[str, str], list[RuntimeInfo]] = {}
    for info in runtimes:
        groups.setdefault((info.environment, info.reason or "no reason given"), []).append(info)
    return [
        Finding(
            "runtime", "warn", f"{_names(group)} in {environment}: {reason}", _remedy(reason, environment)
        )
        for (environment, reason), group in groups.items()
    ]


def _other_builds(names: list[str]) -> list[Finding]:
    """Name in one line what only other builds of packages give, such as execution providers."""
    if not names:
        return []
    text = f"not in the builds that are here: {', '.join(sorted(set(names)))}"
    return [Finding("runtime", "info", text)]


def _names(group: list[RuntimeInfo]) -> str:
    if len(group) > 2:  # noqa: PLR2004 - more is no name list any more, it is the environment
        return "no runtime"
    return " and ".join(f"{info.name} {info.version}" if info.version else info.name for info in group)


def _remedy(reason: str, environment: str) -> str | None:
    """Name the trap of extension modules that were built for NumPy 1 and meet NumPy 2, or the other way."""
    if any(sign in reason for sign in NUMPY_SIGNS):
        return NUMPY_REMEDY
    if reason.startswith("cannot start"):
        return f"name another interpreter for {environment!r} under `runtimes:`, or add the environment again"
    return None


def _absent(info: RuntimeInfo, architecture: str) -> Finding:
    hint = next((entry.hint for entry in entries_giving(info.name) if entry.hint), None)
    text = f"{info.name} is not here: {how_to_add(info.name, architecture)}"
    return Finding("runtime", "info", text, hint)
