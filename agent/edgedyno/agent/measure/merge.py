"""The conditions of many windows as those of one trial: the lowest clock, the worst of the rest, sums of counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import structs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgedyno.core.result import Conditions

_WORST = ("foreign_cpu_ratio", "other_cores_ratio", "run_delay_ratio", "steal_ratio", "throttled")
_WORST_BY_NAME = ("temperature_celsius", "pressure")
_SUMS = ("voluntary_switches", "involuntary_switches", "major_faults", "swap_pages", "quota_throttles")


def merge_conditions(conditions: Sequence[Conditions]) -> Conditions:
    """Merge the conditions of at least one window, in the order of time; what is fixed is the last one's."""

    def known(name: str) -> list[Any]:
        return [value for each in conditions if (value := getattr(each, name)) is not None]

    def folded(names: Iterable[str], fold: Callable[[list[Any]], Any]) -> dict[str, Any]:
        return {name: fold(values) if (values := known(name)) else None for name in names}

    return structs.replace(
        conditions[-1],
        **folded(_WORST, max),
        **folded(_SUMS, sum),
        **{name: extreme(known(name), largest=True) for name in _WORST_BY_NAME},
        frequency_hz=extreme(known("frequency_hz"), largest=False),
        frequency_before_hz=_first(known("frequency_before_hz")),
        frequency_max_hz=extreme(known("frequency_max_hz"), largest=False),
        throttle_counts=dict(sum((Counter(each) for each in known("throttle_counts")), Counter())),
    )


def extreme(values: Sequence[dict[str, float]], *, largest: bool) -> dict[str, float]:
    """Return the largest or smallest value of each name."""
    choose = max if largest else min
    names = dict.fromkeys(name for each in values for name in each)
    return {name: choose(each[name] for each in values if name in each) for name in names}


def _first(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return each name's first value."""
    return {name: value for each in reversed(values) for name, value in each.items()}
