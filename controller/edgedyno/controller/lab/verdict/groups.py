"""Over several boards: which deployment to choose for all of them, by its worst board.

A deployment is what can be the same on every board: variant, runtime, and the number of threads, core set and batch
as the job's sweep names them. What a board has no CPUs for is not the same deployment there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict.goals import Criterion, aim_of
from edgedyno.controller.lab.verdict.group_model import BoardStanding, GroupChoice, GroupStatus, GroupVerdict
from edgedyno.controller.lab.verdict.group_words import group_brief, group_headline, group_reasons
from edgedyno.controller.lab.verdict.objectives import figure_of
from edgedyno.controller.lab.verdict.phrases import one_by_one, threads_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedyno.controller.lab.verdict.model import Answer, Choice, Verdict
    from edgedyno.core.job import JobSpec
    from edgedyno.core.result import Result

MEETS = ("recommended", "acceptable")


class _Key(NamedTuple):
    """A deployment that can be compared across boards."""

    precision: str
    variant: str
    format: str
    runtime: str
    threads: str
    cores: str
    batch: int
    scenario: str


class _Member(NamedTuple):
    """A deployment on one board."""

    choice: Choice
    result: Result


def judge_groups(
    verdicts: Sequence[Verdict],
    results: Iterable[Result],
    spec: JobSpec,
    *,
    types: Mapping[str, str] | None = None,
) -> list[GroupVerdict]:
    """Return for each model on two boards or more a verdict over all of them, then one for each type of board.

    `types` names the boards' types; a type of one board is what its own verdict is about.
    """
    trials = {(result.board, result.model, result.trial): result for result in results}
    by_model: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_model.setdefault(verdict.model, []).append(verdict)
    return [
        _judge(members, trials, spec, board_type)
        for _, group in sorted(by_model.items())
        for board_type, members in _groups(group, types or {})
    ]


def _groups(verdicts: list[Verdict], types: Mapping[str, str]) -> Iterable[tuple[str | None, list[Verdict]]]:
    boards = {verdict.board for verdict in verdicts}
    if len(boards) < 2:  # noqa: PLR2004 - one board is no group
        return
    yield None, verdicts
    by_type: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.board in types:
            by_type.setdefault(types[verdict.board], []).append(verdict)
    if len(by_type) < 2:  # noqa: PLR2004 - where all are of one type that is the group of all
        return
    for board_type, members in sorted(by_type.items()):
        if len({verdict.board for verdict in members}) > 1:
            yield board_type, members


def _judge(
    verdicts: list[Verdict],
    trials: Mapping[tuple[str, str, str], Result],
    spec: JobSpec,
    board_type: str | None,
) -> GroupVerdict:
    boards = sorted({verdict.board for verdict in verdicts})
    by_key = _deployments(verdicts, trials, spec)
    members = [member for found in by_key.values() for member in found.values()]
    aim = aim_of(spec.goal, [member.result for member in members])
    criterion = Criterion(spec.goal, aim, spec.measure.precision)
    named = _Naming(by_key)
    choices = _ranked(
        [_choice(named.label(key), key, found, boards, criterion) for key, found in by_key.items()]
    )
    best = choices[0] if choices and choices[0].status == "acceptable" else None
    if best is not None:
        best = choices[0] = replace(best, status="recommended")
    nearest = choices[0] if choices and best is None else None
    as_good = _as_good(choices) if best else []
    return GroupVerdict(
        model=verdicts[0].model,
        board_type=board_type,
        boards=boards,
        goal=spec.goal,
        answer=_answer(choices),
        recommended=best.label if best else None,
        as_good=as_good,
        nearest=nearest.label if nearest else None,
        boards_with_answer=len({one.board for one in verdicts if one.answer == "recommended"}),
        headline=group_headline(best, nearest, as_good, len(boards), criterion),
        brief=group_brief(best, nearest, len(boards)),
        choices=choices,
    )


def _answer(choices: list[GroupChoice]) -> Answer:
    statuses = {choice.status for choice in choices}
    if "recommended" in statuses:
        return "recommended"
    return "none meets" if statuses == {"rejected"} else "cannot tell"


def _deployments(
    verdicts: list[Verdict], trials: Mapping[tuple[str, str, str], Result], spec: JobSpec
) -> dict[_Key, dict[str, _Member]]:
    """Return each deployment's trial on each board; of two that would be the same the better one stands."""
    versions = _several_versions(verdicts)
    by_key: dict[_Key, dict[str, _Member]] = {}
    for verdict in verdicts:
        for choice in verdict.choices:
            result = trials.get((verdict.board, verdict.model, choice.trial))
            if result is None:
                continue
            for rule in _thread_rules(result, spec):
                key = _key(choice, rule, versions)
                by_key.setdefault(key, {}).setdefault(verdict.board, _Member(choice, result))
    return _without_twins(by_key)


def _without_twins(by_key: dict[_Key, dict[str, _Member]]) -> dict[_Key, dict[str, _Member]]:
    """Leave out names for what is the same on every board: `4` where each has four CPUs and `all` is named too."""
    seen: dict[tuple[tuple[str, str], ...], _Key] = {}
    for key, found in by_key.items():
        seen[tuple(sorted((board, member.choice.trial) for board, member in found.items()))] = key
    return {key: by_key[key] for key in seen.values()}


def _several_versions(verdicts: list[Verdict]) -> set[str]:
    """Return the runtimes that one board has several versions of: there the version is part of the deployment."""
    found: set[str] = set()
    for verdict in verdicts:
        pairs = {(choice.runtime, choice.runtime_version) for choice in verdict.choices}
        names = [name for name, _ in pairs]
        found |= {name for name in names if names.count(name) > 1}
    return found


def _key(choice: Choice, threads: str, versions: set[str]) -> _Key:
    runtime = choice.runtime
    if runtime in versions and choice.runtime_version:
        runtime = f"{runtime} {choice.runtime_version}"
    return _Key(
        choice.precision,
        choice.variant,
        choice.format,
        runtime,
        threads,
        choice.cores,
        choice.batch,
        choice.scenario,
    )


def _thread_rules(result: Result, spec: JobSpec) -> list[str]:
    """Return the sweep's names for a trial's threads: 4 on four CPUs is both `4` and `all`."""
    cpus = len(result.cpus)
    rules = []
    for threads in dict.fromkeys(spec.sweep.threads):
        wanted = cpus if threads == "all" else (min(threads, cpus) if cpus else threads)
        if wanted == result.threads:
            rules.append(str(threads))
    return rules or [str(result.threads)]


class _Naming:
    """Names deployments by what differs between them."""

    def __init__(self, keys: Iterable[_Key]) -> None:
        self._keys = list(keys)
        self._varying = {
            name for at, name in enumerate(_Key._fields) if len({key[at] for key in self._keys}) > 1
        }

    def label(self, key: _Key) -> str:
        """Return a name that is unique in the group."""
        parts = [f"{key.precision.upper()} {key.variant}".rstrip()]
        parts += [key.runtime] if "runtime" in self._varying else []
        parts += [key.format] if self._format_matters(key) else []
        parts.append(say("all threads") if key.threads == "all" else threads_in_words(int(key.threads)))
        parts += [say("{name} cores", name=key.cores)] if "cores" in self._varying else []
        parts += [say("batch {size}", size=key.batch)] if "batch" in self._varying else []
        parts += [key.scenario] if "scenario" in self._varying else []
        return " · ".join(parts)

    def _format_matters(self, key: _Key) -> bool:
        return len({other.format for other in self._keys if other.runtime == key.runtime}) > 1


def _choice(
    label: str, key: _Key, found: Mapping[str, _Member], boards: list[str], criterion: Criterion
) -> GroupChoice:
    standings = [_standing(board, found.get(board), criterion) for board in boards]
    meets = sum(one.status in MEETS for one in standings)
    worst = _worst(standings)
    return GroupChoice(
        label=label,
        precision=key.precision,
        variant=key.variant,
        format=key.format,
        runtime=key.runtime,
        threads=key.threads,
        cores=key.cores,
        batch=key.batch,
        scenario=key.scenario,
        status=_status(standings),
        boards=standings,
        meets=meets,
        share=meets / len(boards),
        worst_board=worst.board if worst else None,
        worst_figure=worst.figure if worst else "",
        worst_excess=_worst_excess(found.values()),
        reasons=group_reasons(standings),
    )


def _standing(board: str, member: _Member | None, criterion: Criterion) -> BoardStanding:
    if member is None:
        return BoardStanding(board, None, "missing", say("it did not run there"), "", None)
    choice, result = member.choice, member.result
    text = "" if choice.status in MEETS else one_by_one(choice.reasons)
    figure = criterion.aim.figure(result) if criterion.aim else figure_of(result)
    if figure is None or choice.state == "void":
        return BoardStanding(board, choice.trial, choice.status, text, "", None)
    words = criterion.figure(result)
    return BoardStanding(board, choice.trial, choice.status, text, words, *figure)


def _worst(standings: Iterable[BoardStanding]) -> BoardStanding | None:
    """Return the board with the worst cost; None where none is known."""
    known = [one for one in standings if one.cost is not None]
    return max(known, key=_cost) if known else None


def _cost(standing: BoardStanding) -> float:
    return math.inf if standing.cost is None else standing.cost


def _status(standings: Sequence[BoardStanding]) -> GroupStatus:
    statuses = {one.status for one in standings}
    if statuses <= set(MEETS):
        return "acceptable"
    return "rejected" if "rejected" in statuses else "undecided"


def _worst_excess(members: Iterable[_Member]) -> float | None:
    """Return how far it is beyond a limit where it is farthest; None where nothing is, or the distance is unknown."""
    excesses = [
        item.excess_ratio
        for member in members
        for item in member.choice.judgements
        if item.outcome == "violated"
    ]
    known = [excess for excess in excesses if excess is not None]
    return max(known) if known and len(known) == len(excesses) else None


def _ranked(choices: list[GroupChoice]) -> list[GroupChoice]:
    """Put first what meets on every board, by its worst one; then what meets on most, and misses by the least."""
    meeting = [choice for choice in choices if choice.status == "acceptable"]
    others = [choice for choice in choices if choice.status != "acceptable"]
    return [*sorted(meeting, key=_worst_cost), *sorted(others, key=_distance)]


def _worst_cost(choice: GroupChoice) -> float:
    worst = _worst(choice.boards)
    return _cost(worst) if worst else math.inf


def _distance(choice: GroupChoice) -> tuple[float, bool, float, float]:
    excess = math.inf if choice.worst_excess is None else choice.worst_excess
    return (-choice.share, choice.status == "rejected", excess, _worst_cost(choice))


def _as_good(choices: list[GroupChoice]) -> list[str]:
    """Return what meets everywhere too, and whose interval on its worst board reaches to the recommended one's."""
    best = _worst(choices[0].boards)
    border = None if best is None else best.cost if best.cost_high is None else best.cost_high
    labels = []
    for choice in choices[1:]:
        worst = _worst(choice.boards)
        if (
            choice.status == "acceptable"
            and worst is not None
            and worst.cost is not None
            and border is not None
        ):
            least = worst.cost if worst.cost_low is None else worst.cost_low
            labels += [choice.label] if least <= border else []
    return labels
