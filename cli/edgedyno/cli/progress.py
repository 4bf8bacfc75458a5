"""Progress of executions: on a terminal a live bar with ETA for each, elsewhere a line for each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from edgedyno.cli.output import stderr

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from edgedyno.controller.lab.variants import Building
    from edgedyno.core.messages import Progress as Step


class ExecutionProgress:
    """Shows how far executions have come; one bar for each name, made when it is first heard of."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[title]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[phase]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[eta]}"),
            console=stderr(),
            transient=True,
            disable=not stderr().is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, name: str, step: Step) -> None:
        """Show the progress of the execution called `name`."""
        phase = f"{step.phase}: {step.current}" if step.current else step.phase
        if step.images_total:
            phase = f"{phase}, image {step.images_done} of {step.images_total}"
        if self._bars.disable:
            # A line for each tenth: a pass over thousands of images is long, and a log is no bar.
            tenths = 10 * step.images_done // step.images_total if step.images_total else 0
            images = f", {10 * tenths} % of {step.images_total} images" if tenths else ""
            self._print(name, f"{step.phase} {step.trials_done}/{step.trials_total}{images}")
            return
        eta = "" if step.eta_seconds is None else f"ETA {step.eta_seconds:.0f} s"
        self._bars.update(
            self._task(name), completed=step.trials_done, total=step.trials_total, phase=phase, eta=eta
        )

    def say(self, name: str, text: str) -> None:
        """Show a state that has no count, such as building or queued."""
        if self._bars.disable:
            self._print(name, text)
        else:
            self._bars.update(self._task(name), phase=text, eta="")

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task("", total=None, title=name, phase="", eta="")
        return self._tasks[name]

    def _print(self, name: str, text: str) -> None:
        if self._last.get(name) != text:
            self._last[name] = text
            stderr().print(f"{name}: {text}", markup=False, soft_wrap=True)


class BuildProgress:
    """Shows how far builds have come, and then their scores: a bar on a terminal, else a line for each variant."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=stderr(),
            transient=True,
            disable=not stderr().is_terminal,
        )
        self._task: TaskID | None = None
        self._scoring = False

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, step: Building) -> None:
        """Show which variant is being built."""
        if step.done == step.total:
            return
        text = f"{step.format} {step.precision}"
        if self._bars.disable:
            stderr().print(f"building {text} ({step.done + 1} of {step.total})", markup=False)
        else:
            self._update(text, step.done, step.total)

    def show_images(self, done: int, total: int) -> None:
        """Show how many images were scored."""
        if not self._bars.disable:
            self._update("scoring, images", done, total)
        elif not self._scoring:
            self._scoring = True
            stderr().print(f"scoring each on {total} images", markup=False)

    def _update(self, text: str, done: int, total: int) -> None:
        if self._task is None:
            self._task = self._bars.add_task(text, total=total)
        self._bars.update(self._task, description=text, completed=done, total=total)
