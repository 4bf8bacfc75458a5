"""How many of a ranked list have to stay in float: doubling, then halving."""

from collections.abc import Callable


def fewest(drop: Callable[[int], float], total: int, limit: float) -> int | None:
    """Return how many of `total` blocks have to stay in float, at least one of them quantized; None: more.

    Drops need not fall steadily; what is returned is within the limit, and was tried.
    """
    missed, step = -1, 0
    while drop(step) > limit:
        if step == total - 1 or not total:
            return None
        missed, step = step, min(max(1, 2 * step), total - 1)
    while step - missed > 1:
        middle = (missed + step) // 2
        if drop(middle) <= limit:
            step = middle
        else:
            missed = middle
    return step
