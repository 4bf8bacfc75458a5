"""Instruction-set features that inference speed depends on, under one name each on every architecture.

The names, and what each means to a runtime:

=================  ===========================================================================
fp16_arith         half-precision arithmetic, not only storage (ARM fphp + asimdhp)
dotprod            8-bit dot product (ARM asimddp)
fp16_to_fp32_fma   half-precision products into single-precision sums (ARM asimdfhm)
i8mm, bf16, sve    8-bit matrix product, bfloat16, scalable vectors (ARM)
sve2, neon         scalable vectors 2; 128-bit vectors (ARM)
avx2, fma, f16c    256-bit vectors; fused multiply-add; FP16 conversion, without arithmetic (x86)
avx512             512-bit vectors (x86 avx512f)
avx_vnni           8-bit dot product on 256-bit vectors (x86)
avx512_vnni        8-bit dot product on 512-bit vectors (x86)
avx512_bf16        bfloat16 dot product (x86)
avx512_fp16        half-precision arithmetic (x86)
amx_int8           8-bit matrix tiles (x86); also amx_bf16, amx_fp16
=================  ===========================================================================

A feature is listed where every online CPU has it: a runtime picks its kernels once for all its threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Alternatives, each a set of kernel words that have to be there together.
# ARM words: Documentation/arch/arm64/elf_hwcaps.rst; x86 words: arch/x86/include/asm/cpufeatures.h.
_WORDS: dict[str, tuple[frozenset[str], ...]] = {
    "neon": (frozenset({"asimd"}), frozenset({"neon"})),
    "fp16_arith": (frozenset({"fphp", "asimdhp"}),),
    "dotprod": (frozenset({"asimddp"}),),
    "fp16_to_fp32_fma": (frozenset({"asimdfhm"}),),
    "i8mm": (frozenset({"i8mm"}), frozenset({"svei8mm"})),
    "bf16": (frozenset({"bf16"}), frozenset({"svebf16"})),
    "sve": (frozenset({"sve"}),),
    "sve2": (frozenset({"sve2"}),),
    "avx2": (frozenset({"avx2"}),),
    "fma": (frozenset({"fma"}),),
    "f16c": (frozenset({"f16c"}),),
    "avx512": (frozenset({"avx512f"}),),
    "avx_vnni": (frozenset({"avx_vnni"}),),
    "avx512_vnni": (frozenset({"avx512_vnni"}),),
    "avx512_bf16": (frozenset({"avx512_bf16"}),),
    "avx512_fp16": (frozenset({"avx512_fp16"}),),
    "amx_int8": (frozenset({"amx_int8"}),),
    "amx_bf16": (frozenset({"amx_bf16"}),),
    "amx_fp16": (frozenset({"amx_fp16"}),),
}
FEATURES = tuple(_WORDS)


def common_features(words_by_cpu: Iterable[Collection[str]]) -> list[str]:
    """Return the features that all CPUs have, by the kernel's words for each of them."""
    sets = [frozenset(words) for words in words_by_cpu]
    if not sets:
        return []
    common = frozenset.intersection(*sets)
    return [name for name, options in _WORDS.items() if any(option <= common for option in options)]
