"""Verdicts: which trial to deploy on a board, why, and how sure that is; or that it cannot be told."""

from edgedyno.controller.lab.verdict.group_model import BoardStanding, GroupChoice, GroupVerdict
from edgedyno.controller.lab.verdict.group_words import group_lines, group_title
from edgedyno.controller.lab.verdict.groups import judge_groups
from edgedyno.controller.lab.verdict.judging import judge, meets_requirements, newest_attempts
from edgedyno.controller.lab.verdict.model import (
    Choice,
    Comparison,
    Judgement,
    ParetoPoint,
    RatioInterval,
    Stability,
    Verdict,
)
from edgedyno.controller.lab.verdict.words import summary_lines, verdict_lines

__all__ = [
    "BoardStanding",
    "Choice",
    "Comparison",
    "GroupChoice",
    "GroupVerdict",
    "Judgement",
    "ParetoPoint",
    "RatioInterval",
    "Stability",
    "Verdict",
    "group_lines",
    "group_title",
    "judge",
    "judge_groups",
    "meets_requirements",
    "newest_attempts",
    "summary_lines",
    "verdict_lines",
]
