"""Resolve a job as its user sees it: a bar while a large data set is read, and what is odd about it on stderr."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edgedyno.cli.output import say, stderr
from edgedyno.controller.lab.datasets import finding_line
from edgedyno.controller.lab.resolve import resolve_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedyno.controller.lab.datasets import Finding
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.job import JobSpec
    from edgedyno.core.manifest import ResolvedJob

# Reading fewer takes no time worth a bar.
_BAR_FROM_IMAGES = 200


def resolve_aloud(spec: JobSpec, *, base: Path, store: ContentStore) -> ResolvedJob:
    """Resolve a job; warnings about its data set go to stderr, where notes would only be noise."""
    warnings: list[Finding] = []
    with reading_images() as progress:
        resolved = resolve_job(spec, base=base, store=store, progress=progress, tell=warnings.append)
    for finding in warnings:
        if finding.severity == "warning":
            say(finding_line(finding))
    if resolved.images and resolved.annotations is None:
        say(
            f"{len(resolved.images)} images without labels: no accuracy, only how far each variant agrees with FP32 "
            "(fidelity)"
        )
    return resolved


@contextmanager
def reading_images() -> Iterator[Callable[[int, int], None]]:
    """Give something to tell images read and to read; on a terminal it shows a bar."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
        disable=not stderr().is_terminal,
    )
    with bars:

        def show(done: int, total: int) -> None:
            if total < _BAR_FROM_IMAGES or bars.disable:
                return
            task = bars.task_ids[0] if bars.task_ids else bars.add_task("reading images", total=total)
            bars.update(task, completed=done)

        yield show
