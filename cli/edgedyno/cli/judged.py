"""What `edgedyno verdict` is told of: jobs of the controller and folders of `edgedyno run`, with their verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from edgedyno.cli.client import Controller
from edgedyno.cli.places import cache_folder, read_results
from edgedyno.controller.lab.language import ENGLISH, speaking
from edgedyno.controller.lab.verdict import GroupVerdict, Verdict, judge, judge_groups
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Judged(Struct, frozen=True):
    """One job or folder."""

    place: str
    verdicts: list[Verdict]
    groups: list[GroupVerdict]
    folder: Path | None = None
    resolved: ResolvedJob | None = None
    """Of a folder that has its job beside it."""
    results: list[Result] = []


def load_judged(place: str, url: str, language: str) -> Judged:
    """Return what is known of a job or folder, told in `language`. Raises ConfigError where there is nothing."""
    folder = Path(place)
    return _of_folder(folder, language) if folder.is_dir() else _of_job(place, url, language)


class _Part(Protocol):
    """What a verdict over several parts needs of each: a folder, or a section of a report."""

    @property
    def verdicts(self) -> list[Verdict]: ...
    @property
    def results(self) -> list[Result]: ...
    @property
    def resolved(self) -> ResolvedJob | None: ...


def groups_across(judged: Sequence[_Part]) -> list[GroupVerdict]:
    """Return verdicts over the boards of several folders, where their jobs ask for the same of one model."""
    alike: dict[bytes, list[_Part]] = {}
    for one in judged:
        if one.resolved is not None:
            spec = one.resolved.spec
            asked = (one.resolved.model.name, spec.require, spec.goal, spec.sweep)
            alike.setdefault(msgspec.json.encode(asked), []).append(one)
    groups = []
    for members in alike.values():
        resolved = members[0].resolved
        if resolved is not None and len(members) > 1:
            verdicts = [verdict for one in members for verdict in one.verdicts]
            results = [result for one in members for result in one.results]
            groups += judge_groups(verdicts, results, resolved.spec)
    return groups


def read_of(folders: Sequence[Path]) -> Callable[[str], bytes]:
    """Return a reader of artifacts: what the folders hold, else what `edgedyno run` left in the cache."""
    from edgedyno.controller.lab.files import ContentStore

    store = ContentStore(cache_folder() / "store")

    def read(sha256: str) -> bytes:
        kept = next((path for folder in folders for path in folder.glob(f"*/{sha256}*")), None)
        return store.read(sha256) if kept is None else kept.read_bytes()

    return read


def resolved_of(folder: Path) -> ResolvedJob:
    """Read the job that a folder's results are of. Raises ConfigError where it is missing or damaged."""
    try:
        return msgspec.json.decode((folder / "job.json").read_bytes(), type=ResolvedJob)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{folder / 'job.json'}: no job here ({error})", code="results.missing") from error


def verdicts_of_folder(folder: Path) -> list[Verdict]:
    """Read `verdict.json` from a results folder; raise ConfigError where it is missing or damaged."""
    path = folder / "verdict.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Verdict])
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: no verdict here ({error})", code="results.missing") from error


def verdicts_of_job(job: str, url: str) -> list[Verdict]:
    """Return the verdicts of a job of the controller."""
    return _of_job(job, url, ENGLISH).verdicts


def _of_folder(folder: Path, language: str) -> Judged:
    """Take the verdict that lies there; in another language, or of an older edgedyno, it is made anew."""
    kept = verdicts_of_folder(folder)
    if not (folder / "job.json").exists() or not (folder / "results.jsonl").exists():
        return Judged(str(folder), kept, [], folder)
    resolved, results = resolved_of(folder), read_results(folder)
    if language != ENGLISH or any(not verdict.brief for verdict in kept):
        with speaking(language):
            kept = judge(results, spec=resolved.spec, read=read_of([folder]))
    return Judged(str(folder), kept, [], folder, resolved, results)


def _of_job(job: str, url: str, language: str) -> Judged:
    with Controller(url) as controller:
        told = controller.call("GET", f"/jobs/{job}/verdict", params={"language": language})
    return Judged(
        job,
        msgspec.convert(told["verdicts"], list[Verdict]),
        msgspec.convert(told["groups"], list[GroupVerdict]),
    )
