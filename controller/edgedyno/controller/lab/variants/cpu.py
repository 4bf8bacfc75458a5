"""What a board's processor means for how INT8 weights have to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DOT_PRODUCT = frozenset({"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "dotprod"})
_ARM = frozenset({"neon", "asimd", "asimddp", "i8mm", "sve"})


def needs_reduce_range(features: Iterable[str]) -> bool:
    """Tell whether INT8 weights must keep to 7 bits on a processor with these features.

    On x86 without VNNI the products of unsigned activations and signed weights are added in 16 bits, and
    saturate: FastestDet's mAP50-95 on 17 images falls to 0.168 with 8-bit weights and is 0.220 with 7-bit
    ones (docs/adr/0002). ARM multiplies without that trap. Of an unknown processor the worse is assumed:
    7-bit weights are right everywhere.
    """
    known = set(features)
    return not known & (_DOT_PRODUCT | _ARM)
