"""Verdicts: which trial to deploy on a board, why, and how sure that is; or that it cannot be told."""

from edgedyno.controller.lab.verdict.judging import judge, meets_requirements, newest_attempts
from edgedyno.controller.lab.verdict.model import Choice, Comparison, Judgement, RatioInterval, Verdict
from edgedyno.controller.lab.verdict.words import verdict_lines

__all__ = [
    "Choice",
    "Comparison",
    "Judgement",
    "RatioInterval",
    "Verdict",
    "judge",
    "meets_requirements",
    "newest_attempts",
    "verdict_lines",
]
