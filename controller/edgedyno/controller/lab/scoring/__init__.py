"""Predictions become accuracy, drop and agreement, with their intervals."""

from __future__ import annotations

from edgedyno.controller.lab.scoring.evaluation import Score, score
from edgedyno.controller.lab.scoring.results import score_results

__all__ = ["Score", "score", "score_results"]
