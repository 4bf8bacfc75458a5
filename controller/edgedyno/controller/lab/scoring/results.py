"""The results of one job, with accuracy, drop and agreement filled in, or the reasons why they are not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgedyno.controller.lab.scoring.agreement import agreement, sight_of
from edgedyno.controller.lab.scoring.evaluation import Evaluation, scorer_of
from edgedyno.core.errors import ConfigError, EdgedynoError
from edgedyno.core.predictions import read_predictions
from edgedyno.core.result import Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.controller.lab.scoring.agreement import Sight
    from edgedyno.controller.lab.scoring.evaluation import Score, Scored
    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.result import Agreement, Result

logger = logging.getLogger(__name__)

_THE_REFERENCE = "this is the FP32 reference"


def score_results(
    results: Sequence[Result], *, read: Callable[[str], bytes], resolved: ResolvedJob
) -> list[Result]:
    """Return the results with accuracy, drop and fidelity filled in, or the reasons why they are not.

    Predictions are made once for each variant and runtime on a board; trials that differ only in threads or
    cores share them. The baseline is FP32 on the same board and runtime or, where that runtime ran none, on the
    same board. Without labels there is no accuracy, and still the agreement with FP32.
    """
    try:
        evaluation: Evaluation | EdgedynoError = _evaluation(resolved, read)
    except EdgedynoError as error:
        evaluation = error
    return _Job(results, read, resolved, evaluation).filled()


def _evaluation(resolved: ResolvedJob, read: Callable[[str], bytes]) -> Evaluation:
    if resolved.dataset is None or not resolved.images:
        raise ConfigError("the job names no data set", code="dataset.none")
    if resolved.annotations is None:
        raise ConfigError(
            f"data set {resolved.dataset.name!r} has no annotations", code="dataset.no-annotations"
        )
    scorer = scorer_of(resolved.model.task, read(resolved.annotations.sha256), resolved.class_names)
    return Evaluation(scorer, [image.id for image in resolved.images])


class _Seen(NamedTuple):
    """One artifact of predictions: what was made of it, without the predictions themselves."""

    variant_sha256: str
    scored: Scored | EdgedynoError
    sight: Sight


class _Reference(NamedTuple):
    """The predictions that others are compared with."""

    sha256: str
    name: str


_Place = tuple[str, str, "str | None"]


def _place(result: Result) -> _Place:
    """Return what FP32 and a variant must have in common to be compared."""
    return result.board, result.runtime, result.runtime_version


class _References:
    """FP32's predictions by place and by board."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._by_place: dict[_Place, _Reference] = {}
        self._by_board: dict[str, _Reference] = {}
        made = [one for one in results if one.precision == "fp32" and one.status == "ok"]
        # The source model as it is, where there is a choice; the order of results else.
        for result in sorted(made, key=lambda one: (one.variant != "", one.format != "onnx")):
            if result.predictions_sha256 is not None:
                name = f"FP32 on {result.runtime} {result.runtime_version or ''}".rstrip()
                reference = _Reference(result.predictions_sha256, name)
                self._by_place.setdefault(_place(result), reference)
                self._by_board.setdefault(result.board, reference)

    def of(self, result: Result) -> _Reference | None:
        """Return what a variant is compared with."""
        # What FP32 finds hardly depends on the runtime (tests/conformance); some runtimes have no FP32 at all.
        return self._by_place.get(_place(result)) or self.of_board(result)

    def of_board(self, result: Result) -> _Reference | None:
        """Return what FP32 itself is compared with on another runtime."""
        return self._by_board.get(result.board)


class _Job:
    """The results of one job while they are scored."""

    def __init__(
        self,
        results: Sequence[Result],
        read: Callable[[str], bytes],
        resolved: ResolvedJob,
        evaluation: Evaluation | EdgedynoError,
    ) -> None:
        self._results = results
        self._read = read
        self._resolved = resolved
        self._image_ids = [image.id for image in resolved.images]
        self._evaluation = evaluation
        self._references = _References(results)
        self._seen_before: dict[str, _Seen | EdgedynoError] = {}
        self._scores: dict[tuple[str, str], Score] = {}
        self._agreements: dict[tuple[str, str], Agreement | str] = {}
        self._by_variant: dict[tuple[_Place, str | None], str] = {}
        for result in results:
            if result.predictions_sha256 is not None and result.status == "ok":
                self._by_variant.setdefault(
                    (_place(result), result.variant_sha256), result.predictions_sha256
                )

    def filled(self) -> list[Result]:
        """Return every result with what can be said of its accuracy and fidelity."""
        return [self._fill(result) for result in self._results]

    def _fill(self, result: Result) -> Result:
        if result.status != "ok":
            return _without(result, f"the trial is {result.status}")
        ours = result.predictions_sha256 or self._by_variant.get((_place(result), result.variant_sha256))
        if ours is None or not self._image_ids:
            return self._unread(result, "the board made no predictions")
        try:
            seen = self._seen(ours)
            if seen.variant_sha256 != result.variant_sha256:
                raise ConfigError("the predictions are of another variant", code="predictions.variant")
        except EdgedynoError as error:
            return self._unread(result, str(error))
        return self._with_fidelity(self._with_accuracy(result, ours, seen), ours)

    def _unread(self, result: Result, reason: str) -> Result:
        """Return the result without anything that needs predictions; what keeps all from a score comes first."""
        failed = isinstance(self._evaluation, EdgedynoError)
        return _without(result, str(self._evaluation) if failed else reason)

    def _with_accuracy(self, result: Result, ours: str, seen: _Seen) -> Result:
        if isinstance(seen.scored, EdgedynoError):
            return _without_accuracy(result, str(seen.scored))
        drop, reason = None, f"there is no FP32 result on {result.board} to compare with"
        reference = self._references.of(result)
        if result.precision == "fp32":
            reason = _THE_REFERENCE
        elif reference is not None:
            found = self._compare(ours, seen.scored, reference)
            drop, reason = (
                (found.drop, found.drop_reason or "") if not isinstance(found, str) else (None, found)
            )
        return msgspec.structs.replace(
            result,
            accuracy=seen.scored.accuracy,
            accuracy_reason=None,
            accuracy_drop=drop,
            accuracy_drop_reason=None if drop else reason,
        )

    def _compare(self, ours: str, scored: Scored, reference: _Reference) -> Score | str:
        """Return the score with its drop, or why FP32 cannot be compared with."""
        if isinstance(self._evaluation, EdgedynoError):
            return str(self._evaluation)
        key = (ours, reference.sha256)
        if key not in self._scores:
            try:
                theirs = self._seen(reference.sha256).scored
            except EdgedynoError as error:
                theirs = error
            if isinstance(theirs, EdgedynoError):
                return f"the FP32 result cannot be scored: {theirs}"
            self._scores[key] = self._evaluation.compare(scored, theirs)
        return self._scores[key]

    def _with_fidelity(self, result: Result, ours: str) -> Result:
        is_fp32 = result.precision == "fp32"
        reference = self._references.of_board(result) if is_fp32 else self._references.of(result)
        if reference is None:
            return _without_agreement(result, f"there is no FP32 result on {result.board} to compare with")
        if reference.sha256 == ours and is_fp32:
            return _without_agreement(result, _THE_REFERENCE)
        found = self._agree(ours, reference)
        before = result.fidelity
        fidelity = msgspec.structs.replace(
            before or Fidelity(reference.name, outputs_reason="the board compared no raw outputs"),
            agreement=None if isinstance(found, str) else found,
            agreement_reason=found if isinstance(found, str) else None,
        )
        if before is not None and before.outputs and before.reference != reference.name:
            both = f"{before.reference} (raw outputs), {reference.name} (predictions)"
            fidelity = msgspec.structs.replace(fidelity, reference=both)
        return msgspec.structs.replace(result, fidelity=fidelity, fidelity_reason=None)

    def _agree(self, ours: str, reference: _Reference) -> Agreement | str:
        key = (ours, reference.sha256)
        if key not in self._agreements:
            try:
                self._agreements[key] = agreement(
                    self._seen(ours).sight, self._seen(reference.sha256).sight, self._resolved.model.task
                )
            except EdgedynoError as error:
                self._agreements[key] = str(error)
        return self._agreements[key]

    def _seen(self, sha256: str) -> _Seen:
        """Return what was made of an artifact, once; raise what came in the way."""
        if sha256 not in self._seen_before:
            try:
                self._seen_before[sha256] = self._look(sha256)
            except EdgedynoError as error:
                self._seen_before[sha256] = error
        seen = self._seen_before[sha256]
        if isinstance(seen, EdgedynoError):
            raise seen
        return seen

    def _look(self, sha256: str) -> _Seen:
        try:
            predictions = read_predictions(self._read(sha256))
        except msgspec.MsgspecError as error:
            logger.warning("predictions cannot be read", extra={"sha256": sha256}, exc_info=True)
            raise ConfigError(
                f"the predictions cannot be read: {error}", code="predictions.damaged"
            ) from error
        sight = sight_of(predictions, self._image_ids, classes=len(self._resolved.class_names))
        scored: Scored | EdgedynoError
        try:
            if isinstance(self._evaluation, EdgedynoError):
                raise self._evaluation
            scored = self._evaluation.scored(predictions)
        except EdgedynoError as error:
            scored = error
        return _Seen(predictions.variant_sha256, scored, sight)


def _without(result: Result, reason: str) -> Result:
    """Return the result without accuracy and agreement; where the board made no predictions, its reason stays."""
    said = result.accuracy_reason if result.predictions_sha256 is None else None
    return _without_agreement(_without_accuracy(result, said or reason), said or reason)


def _without_accuracy(result: Result, reason: str) -> Result:
    return msgspec.structs.replace(
        result,
        accuracy=None,
        accuracy_reason=reason,
        accuracy_drop=None,
        accuracy_drop_reason=result.accuracy_drop_reason or "there is no accuracy",
    )


def _without_agreement(result: Result, reason: str) -> Result:
    """Keep what the board said of raw outputs; the reason is for what is not there."""
    if result.fidelity is None:
        return msgspec.structs.replace(result, fidelity_reason=result.fidelity_reason or reason)
    without = msgspec.structs.replace(result.fidelity, agreement=None, agreement_reason=reason)
    return msgspec.structs.replace(result, fidelity=without)
