"""How a runtime's account of its work becomes a word and a sentence: which arithmetic took which share."""

from typing import Dict, List, Tuple

_MOSTLY = 0.5
_HARDLY = 0.02


def name_main(amounts: Dict[str, float]) -> str:
    """Name the arithmetic that did more than half of the work, conversions apart; `mixed` where none did."""
    work = {name: amount for name, amount in amounts.items() if name != "converting"}
    total = sum(work.values())
    if not total:
        return "unknown"
    main = max(work, key=lambda name: work[name])
    return main if work[main] / total > _MOSTLY else "mixed"


def tell_shares(amounts: Dict[str, float], measure: str) -> str:
    """Write the shares, the largest first: `84 % of kernel time int8; 16 % converting (...)`."""
    total = sum(amounts.values())
    parts: List[str] = []
    for name, amount in sorted(amounts.items(), key=lambda item: -item[1]):
        if not total or amount / total <= _HARDLY:
            continue
        of = "" if parts else " of " + measure
        what = "converting (quantize, convert, reorder)" if name == "converting" else name
        parts.append("%.0f %%%s %s" % (100 * amount / total, of, what))
    return "; ".join(parts)


def summarise(amounts: Dict[str, float], measure: str) -> Tuple[str, str]:
    """Return the word and the sentence."""
    return name_main(amounts), tell_shares(amounts, measure) or "nothing in %s" % measure
