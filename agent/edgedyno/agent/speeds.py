"""How fast this board's memory and arithmetic are, as measured on it: in children, kept until conditions change.

A figure of a data sheet never stands in for one. The child is `worker/speed.py` in a runtime's interpreter; the
daemon imports no numpy for it. Not responsible for what the figures are used for.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edgedyno.agent.files import write_durably
from edgedyno.core.board import CoreSetSpeed, Speeds
from edgedyno.core.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedyno.core.board import Capabilities
    from edgedyno.core.run import Environment

log = logging.getLogger(__name__)

PROGRAM = Path(__file__).parent / "worker" / "speed.py"
QUANTITY_SECONDS = 0.12  # each; the best of its calls counts, so more seconds change little
MATRIX_SIZE = 512  # 0.27 G operations: 30 ms on a Cortex-A53, and the three matrices fit no L1
CHILD_SECONDS = 60.0  # a Raspberry Pi Zero 2 imports onnxruntime for several seconds
LEAST_COPY_BYTES = 64 << 20
MOST_MEMORY_SHARE = 8  # arrays take an eighth of the memory at most, twice
CACHE_TIMES = 4
_FP16_FEATURES = frozenset({"fp16_arith", "avx512_fp16"})
_NO_FP16 = "these cores have no FP16 arithmetic; a runtime converts to FP32 and back"
_OFF = "0"


class _Kept(Struct, frozen=True):
    speeds: Speeds


def with_speeds(
    capabilities: Capabilities,
    environments: Sequence[Environment],
    file: Path,
    *,
    measure: bool = False,
    when_stale: bool = False,
) -> Capabilities:
    """Return the capabilities with what is kept in `file`, or with what is measured now.

    `measure` measures in any case, `when_stale` where nothing is kept or the conditions are other ones.
    """
    kept = _read(file)
    now = speed_conditions(capabilities)
    stale = _stale(kept, now)
    if measure or (when_stale and stale):
        try:
            kept = measure_speeds(capabilities, environments)
        except RunError as error:
            return replace(capabilities, speeds=None, speeds_reason=str(error))
        write_durably(file, msgspec.json.encode(_Kept(kept)))
        stale = None
    if stale:
        return replace(capabilities, speeds=None, speeds_reason=stale)
    return replace(capabilities, speeds=kept, speeds_reason=None)


def _read(file: Path) -> Speeds | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Kept).speeds
    except (OSError, msgspec.MsgspecError):
        return None


def _stale(kept: Speeds | None, now: Mapping[str, str]) -> str | None:
    """Return why what is kept does not count; None: it does."""
    if kept is None:
        return "not measured yet: edgedyno agent caps --measure does it, in some seconds"
    changed = [
        f"{name} was {kept.conditions.get(name, 'unknown')}, is {now.get(name, 'unknown')}"
        for name in sorted({*kept.conditions, *now})
        if kept.conditions.get(name) != now.get(name)
    ]
    if changed:
        return (
            f"measured under other conditions ({'; '.join(changed)}); edgedyno agent caps --measure renews it"
        )
    return None


def speed_conditions(capabilities: Capabilities) -> dict[str, str]:
    """Return what the figures belong to; when one of these changes they are measured anew."""
    host = capabilities.host
    governors = sorted(set(host.governors.values())) if host else []
    limits = sorted({f"{hz / 1e6:.0f} MHz" for hz in host.clock_limits_hz.values()}) if host else []
    memory = [f"{each.name} {each.governor}" for each in host.device_clocks if each.governor] if host else []
    runtime = _runtime(capabilities)
    return {
        "kernel": capabilities.kernel,
        "governor": ", ".join(governors) or "none",
        "clock limit": ", ".join(limits) or "none",
        "device clocks": ", ".join(memory) or "none",
        "power mode": (host.power_mode if host else None) or "none",
        "runtime": f"{runtime.name} {runtime.version}" if runtime else "numpy",
        "cores": ",".join(map(str, capabilities.core_sets.get("all", []))),
    }


def _runtime(capabilities: Capabilities) -> Any:
    usable = [each for each in capabilities.runtimes if each.available and each.name == "onnxruntime"]
    return next(iter(usable), None)


def measure_speeds(capabilities: Capabilities, environments: Sequence[Environment]) -> Speeds:
    """Measure single core and every useful set. Takes a second or two for each. Raises RunError."""
    began = time.monotonic()
    python = _python(capabilities, environments)
    precisions = ["fp32", "int8"]
    reasons: dict[str, str] = {}
    if _FP16_FEATURES.isdisjoint(capabilities.cpu.features):
        reasons["fp16"] = _NO_FP16
    else:
        precisions.insert(1, "fp16")
    sets, methods = [], {}
    for name, cpus in _sets(capabilities).items():
        answer = _ask(python, _request(capabilities, cpus, precisions))
        methods.update(answer["methods"])
        reasons.update({f"{quantity} on {name}": why for quantity, why in answer["reasons"].items()})
        sets.append(
            CoreSetSpeed(
                cores=name,
                cpus=cpus,
                threads=len(cpus),
                copy_bytes_per_second=answer.get("copy_bytes_per_second"),
                operations_per_second=answer["operations_per_second"],
            )
        )
    return Speeds(
        sets=sets,
        methods=methods,
        reasons=reasons,
        conditions=speed_conditions(capabilities),
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 3),
    )


def _sets(capabilities: Capabilities) -> dict[str, list[int]]:
    """Return one core of the fastest kind, and the sets that a job would choose."""
    found = capabilities.core_sets
    if not found.get("all"):
        raise RunError("there is no CPU that the agent may use", code="speed.cores")
    names = [name for name in ("big", "little", "all", "node0") if found.get(name)]
    fastest = found.get("big") or found["all"]
    sets = {"single": fastest[:1]} | {name: found[name] for name in names}
    unique: dict[str, list[int]] = {}
    for name, cpus in sets.items():
        if cpus not in unique.values():
            unique[name] = cpus
    return unique


def _python(capabilities: Capabilities, environments: Sequence[Environment]) -> str:
    """Return the interpreter that has onnxruntime, else the first one."""
    pythons = {"default": sys.executable, **{each.name: each.python for each in environments}}
    runtime = _runtime(capabilities)
    if runtime and runtime.environment in pythons:
        return pythons[runtime.environment]
    return next(iter(each.python for each in environments), sys.executable)


def _request(capabilities: Capabilities, cpus: list[int], precisions: list[str]) -> dict[str, Any]:
    caches = capabilities.host.caches if capabilities.host else []
    largest = max((cache.size_bytes for cache in caches), default=0) * len(cpus)
    most = (capabilities.memory_bytes or LEAST_COPY_BYTES * MOST_MEMORY_SHARE) // MOST_MEMORY_SHARE
    return {
        "cpus": cpus,
        "threads": len(cpus),
        "seconds": QUANTITY_SECONDS,
        "size": MATRIX_SIZE,
        "copy_bytes": min(max(LEAST_COPY_BYTES, CACHE_TIMES * min(largest, 1 << 28)), most),
        "precisions": precisions,
    }


def _ask(python: str, request: dict[str, Any]) -> dict[str, Any]:
    count = str(request["threads"])
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), count
    )
    try:
        done = subprocess.run(
            [python, "-I", str(PROGRAM), json.dumps(request)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHILD_SECONDS,
            env={**os.environ, **threads},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(f"measuring took more than {CHILD_SECONDS:g} s", code="speed.timeout") from error
    except OSError as error:
        raise RunError(
            f"{python} cannot be started: {error.strerror or error}", code="speed.python"
        ) from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise RunError(f"measuring ended with {done.returncode}: {words[0][:200]}", code="speed.failed")
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise RunError(f"measuring gave no answer: {error}", code="speed.answer") from error
    return answer


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether the daemon's first start may measure: EDGEDYNO_SPEEDS=0 forbids it."""
    return environ.get("EDGEDYNO_SPEEDS") != _OFF
