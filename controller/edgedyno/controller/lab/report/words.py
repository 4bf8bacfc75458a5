"""What requirements, parts and files are called on the page, in the reader's language."""

from __future__ import annotations

from edgedyno.controller.lab.language import phrase, say

REQUIREMENTS = {
    "latency_p50": phrase("median latency"),
    "latency_p90": phrase("p90 latency"),
    "latency_p95": phrase("p95 latency"),
    "latency_p99": phrase("p99 latency"),
    "throughput": phrase("throughput"),
    "accuracy": phrase("accuracy"),
    "accuracy_drop": phrase("accuracy drop against FP32"),
    "agreement": phrase("agreement with FP32"),
    "power": phrase("power"),
    "energy": phrase("energy per inference"),
    "memory": phrase("peak memory"),
    "size": phrase("file size"),
}
STAGES = {"pre": phrase("prepare"), "invoke": phrase("inference"), "post": phrase("decode")}
ROLES = {
    "source": phrase("model source (FP32)"),
    "annotations": phrase("annotations"),
    "variant": phrase("variant"),
}
ANSWERS = {
    "recommended": phrase("Recommended"),
    "cannot tell": phrase("Cannot tell"),
    "none meets": phrase("None meets the requirements"),
}
KINDS = {"recommended": "recommended", "cannot tell": "cannot", "none meets": "none"}
"""Class of the style sheet for each answer."""


def requirement_name(name: str) -> str:
    """Return what a requirement limits."""
    return say(REQUIREMENTS[name]) if name in REQUIREMENTS else name


def limit_in_words(name: str, sense: str, limit: str) -> str:
    """Write a requirement, such as `p95 latency at most 100 ms`."""
    what = requirement_name(name)
    if sense == "at least":
        return say("{what} at least {limit}", what=what, limit=limit)
    return say("{what} at most {limit}", what=what, limit=limit)
