"""A verdict over several boards as data: deployments that can be compared across boards, with words for each."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgedyno.controller.lab.verdict.model import Answer, ChoiceStatus
from edgedyno.core.job import Goal

GroupStatus = Literal["recommended", "acceptable", "undecided", "rejected"]


class BoardStanding(Struct, frozen=True):
    """One deployment on one board."""

    board: str
    trial: str | None
    status: ChoiceStatus | Literal["missing"]
    """`missing`: the board ran nothing that is this deployment."""
    text: str
    """Why it does not meet the requirements there; empty where it does."""
    figure: str
    """What the goal ranks it by, in words."""
    cost: float | None
    """The goal's quantity, lower being better; None where it was not measured."""
    cost_low: float | None = None
    cost_high: float | None = None


class GroupChoice(Struct, frozen=True, kw_only=True):
    """One deployment on all boards of a group."""

    label: str
    precision: str
    variant: str
    format: str
    runtime: str
    threads: str
    """As the sweep names them: a number or `all`."""
    cores: str
    batch: int
    scenario: str
    status: GroupStatus
    boards: list[BoardStanding]
    meets: int
    """On how many boards it is shown to meet every requirement."""
    share: float
    worst_board: str | None
    """The board where the goal's quantity is worst, of those where it is known."""
    worst_figure: str
    worst_excess: float | None
    """How far beyond a limit it is where it is farthest, as a share of the limit; None: nowhere, or unknown."""
    reasons: list[str]
    """Why it does not meet everywhere, with the boards."""


class GroupVerdict(Struct, frozen=True, kw_only=True):
    """What to deploy on every board of a group."""

    model: str
    board_type: str | None
    """None: all boards, of whatever type."""
    boards: list[str]
    goal: Goal
    answer: Answer
    recommended: str | None
    """Label of the deployment that meets on all boards and is best by the goal on its worst board."""
    as_good: list[str] = []
    """Labels of those that meet on all boards too and are not shown to be worse on their worst board."""
    nearest: str | None = None
    """Label of the deployment that meets on most boards, when none meets on all."""
    boards_with_answer: int
    """On how many boards some deployment is recommended, each board for itself."""
    headline: str
    brief: str
    choices: list[GroupChoice]
    """The recommended one first, then what meets everywhere, then by the share of boards."""
