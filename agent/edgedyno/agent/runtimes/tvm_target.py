"""The processor as TVM's compiler should see it: LLVM's name for it, less what the kernel says is not there.

LLVM knows a processor by its model. A virtual machine may hide part of one: on a Zen 4 without AVX-512 code for
`znver4` ended with an illegal instruction.
"""

from typing import Any, Dict, List, Set, Tuple

# Features that a compiler uses without being asked, as LLVM and as Linux (/proc/cpuinfo) name them.
_X86 = (
    ("sse4.2", "sse4_2"),
    ("avx", "avx"),
    ("avx2", "avx2"),
    ("fma", "fma"),
    ("f16c", "f16c"),
    ("bmi", "bmi1"),
    ("bmi2", "bmi2"),
    ("gfni", "gfni"),
    ("vaes", "vaes"),
    ("vpclmulqdq", "vpclmulqdq"),
    ("avxvnni", "avx_vnni"),
    ("avx512f", "avx512f"),
    ("avx512cd", "avx512cd"),
    ("avx512bw", "avx512bw"),
    ("avx512dq", "avx512dq"),
    ("avx512vl", "avx512vl"),
    ("avx512ifma", "avx512ifma"),
    ("avx512vbmi", "avx512vbmi"),
    ("avx512vbmi2", "avx512_vbmi2"),
    ("avx512vnni", "avx512_vnni"),
    ("avx512bitalg", "avx512_bitalg"),
    ("avx512vpopcntdq", "avx512_vpopcntdq"),
    ("avx512bf16", "avx512_bf16"),
    ("avx512fp16", "avx512_fp16"),
    ("amx-tile", "amx_tile"),
    ("amx-int8", "amx_int8"),
    ("amx-bf16", "amx_bf16"),
)
_ARM = (
    ("lse", "atomics"),
    ("fullfp16", "asimdhp"),
    ("dotprod", "asimddp"),
    ("i8mm", "i8mm"),
    ("bf16", "bf16"),
    ("sve", "sve"),
    ("sve2", "sve2"),
    ("sme", "sme"),
)
_HALF = ("fullfp16", "avx512fp16")


def describe(threads: int, cpuinfo: str = "/proc/cpuinfo") -> Dict[str, Any]:
    """Return the target's mapping."""
    from tvm.target import codegen

    target: Dict[str, Any] = {
        "kind": "llvm",
        "mcpu": str(codegen.llvm_get_system_cpu()),
        "num-cores": threads,
    }
    with open(cpuinfo) as file:
        missing = missing_features(file.read())
    if missing:
        target["mattr"] = missing
    return target


def missing_features(cpuinfo: str) -> List[str]:
    """Return what to switch off, as LLVM writes it; nothing where /proc/cpuinfo lists no features."""
    flags, pairs = _flags(cpuinfo)
    return ["-" + name for name, flag in pairs if flag not in flags] if flags else []


def _flags(cpuinfo: str) -> Tuple[Set[str], Tuple[Tuple[str, str], ...]]:
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return set(value.split()), _X86
        if key.strip() == "Features":
            return set(value.split()), _ARM
    return set(), ()


def has_half(target: Any) -> bool:
    """Tell whether code for the target computes in FP16; else LLVM widens around every operation."""
    from tvm.target import codegen

    features = {str(each) for each in codegen.llvm_get_cpu_features(target)}
    return any(name in features for name in _HALF)
