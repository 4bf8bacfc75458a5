"""What a verdict over several boards says, as sentences and as lines of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict.layout import columns_of, pad, wrap
from edgedyno.controller.lab.verdict.phrases import listed, one_by_one, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.verdict.goals import Criterion
    from edgedyno.controller.lab.verdict.group_model import BoardStanding, GroupChoice, GroupVerdict

INDENT = "  "
MOST_ROWS = 12


def group_headline(
    best: GroupChoice | None,
    nearest: GroupChoice | None,
    as_good: Sequence[str],
    boards: int,
    criterion: Criterion,
) -> str:
    """Say what to deploy on all boards, or what comes nearest to it."""
    if best is not None:
        quantity = say(criterion.aim.title) if criterion.aim else say("speed")
        use = say(
            "Use {deployment} on all {boards} boards: it meets every requirement on each. By {quantity} its worst "
            "board is {worst} ({figure}).",
            deployment=best.label,
            boards=boards,
            quantity=quantity,
            worst=best.worst_board,
            figure=best.worst_figure,
        )
        others = (
            say("Not shown to be worse there: {deployments}.", deployments=listed(as_good)) if as_good else ""
        )
        return sentences(use, others)
    if nearest is None:
        return say("Cannot tell: no deployment ran on these boards.")
    words = {"deployment": nearest.label, "meets": nearest.meets, "boards": boards}
    reasons = one_by_one(nearest.reasons)
    if nearest.status == "rejected":
        return say(
            "No single deployment meets every requirement on all {boards} boards. Nearest is {deployment}, on {meets} "
            "of {boards}: {reasons}.",
            reasons=reasons,
            **words,
        )
    return say(
        "Cannot tell: no single deployment is shown to meet every requirement on all {boards} boards. Nearest is "
        "{deployment}, on {meets} of {boards}: {reasons}.",
        reasons=reasons,
        **words,
    )


def group_brief(best: GroupChoice | None, nearest: GroupChoice | None, boards: int) -> str:
    """Say the same in a few words."""
    if best is not None:
        return say("use {deployment} on all {boards} boards", deployment=best.label, boards=boards)
    if nearest is None:
        return say("cannot tell: no trial gave a result that counts")
    return say(
        "none on all boards; nearest is {deployment}, on {meets} of {boards}",
        deployment=nearest.label,
        meets=nearest.meets,
        boards=boards,
    )


def group_reasons(standings: Sequence[BoardStanding]) -> list[str]:
    """Say why a deployment does not meet everywhere, boards with the same reason together."""
    under: dict[str, list[str]] = {}
    for one in standings:
        if one.text:
            under.setdefault(one.text, []).append(one.board)
    return [say("{boards}: {reason}", boards=listed(boards), reason=text) for text, boards in under.items()]


def group_title(group: GroupVerdict) -> str:
    """Name the model and the boards."""
    if group.board_type is None:
        return say("{model} on all {boards} boards", model=group.model, boards=len(group.boards))
    return say(
        "{model} on the {boards} boards of type {board_type}",
        model=group.model,
        boards=len(group.boards),
        board_type=group.board_type,
    )


def group_lines(group: GroupVerdict, *, width: int = 80) -> list[str]:
    """Return a group's answer and its deployments as lines; the most promising ones where there are many."""
    title = say("{what}: {why}", what=group_title(group), why=say(group.answer).upper())
    lines = [title, *wrap(group.headline, min(width, 80), INDENT), ""]
    rows: list[tuple[str, ...]] = [(say("deployment"), say("meets on"), say("worst board"), say("status"))]
    rows += [_row(choice, len(group.boards)) for choice in group.choices[:MOST_ROWS]]
    widths = [max(columns_of(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines += [
        (INDENT + "  ".join(pad(cell, wide) for cell, wide in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
    more = len(group.choices) - MOST_ROWS
    if more > 0:
        lines.append(INDENT + say("and {count} more", count=more))
    return lines


def _row(choice: GroupChoice, boards: int) -> tuple[str, ...]:
    share = say("{meets} of {boards}", meets=choice.meets, boards=boards)
    return (choice.label, share, choice.worst_board or "-", say(choice.status))
