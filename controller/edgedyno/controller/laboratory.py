"""The lab as the service sees it: builds, scores, verdicts and reports in child processes.

A model file can be malformed on purpose, and the libraries that read it are large and native: what they do
to their process they must not do to the service. One child builds, another
evaluates; each answers one request at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Raw, Struct

from edgedyno.core.errors import RunError
from edgedyno.core.job import JobSpec, Precision
from edgedyno.core.manifest import Failure, ResolvedJob, Variant
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)
_LINE_LIMIT = 256 * 2**20  # a report with its plots and a few thousand results is tens of megabytes


class Laboratory(Protocol):
    """What the service asks of the lab; every call may raise EdgedynoError."""

    async def build(
        self,
        resolved: ResolvedJob,
        precisions: list[Precision],
        *,
        reduce_range: bool,
        formats: list[str],
    ) -> list[Variant]:
        """Build a job's variants in these formats."""

    async def score(self, results: list[Result], resolved: ResolvedJob) -> list[Result]:
        """Fill in accuracy and drop."""

    async def judge(self, results: list[Result], spec: JobSpec, context: Context) -> bytes:
        """Return the verdicts, and those over several boards, as a JSON object of `verdicts` and `groups`."""

    async def report(
        self, results: list[Result], resolved: ResolvedJob, context: Context, *, images: bool
    ) -> str:
        """Return one HTML page, with images of the data set or without."""

    async def close(self) -> None:
        """End what runs for it."""


class Context(Struct, frozen=True):
    """What a verdict is told with beside the results."""

    language: str = "en"
    earlier: Raw = Raw(b"[]")
    """Verdicts of the last run of the same job, as a JSON list."""
    types: dict[str, str] = {}
    """Each board's type, where it is known."""


class Task(Struct, frozen=True, tag_field="task", tag=str.lower):
    """Base of what a child can be asked."""


class Build(Task, frozen=True):
    """Build a job's variants."""

    resolved: ResolvedJob
    precisions: list[Precision]
    reduce_range: bool
    formats: list[str]
    tools: dict[str, str]
    """Interpreter with the tools of each format."""


class Score(Task, frozen=True):
    """Fill in accuracy and drop."""

    results: list[Result]
    resolved: ResolvedJob


class Judge(Task, frozen=True):
    """Make verdicts."""

    results: list[Result]
    spec: JobSpec
    context: Context


class Report(Task, frozen=True):
    """Write the report."""

    results: list[Result]
    resolved: ResolvedJob
    context: Context
    images: bool
    """Whether images of the data set may be on the page."""


AnyTask = Build | Score | Judge | Report


class Answer(Struct, frozen=True):
    """A child's answer: a value, or why there is none."""

    value: Raw = Raw(b"null")
    failure: Failure | None = None


_answer = msgspec.json.Decoder(Answer)


class ChildLaboratory:
    """The real lab over the artifact store in `store_dir`."""

    def __init__(self, store_dir: Path, *, builders: Mapping[str, str] | None = None) -> None:
        self._tools = dict(builders or {})
        self._builder = _Child("build", store_dir)
        self._evaluator = _Child("evaluate", store_dir)

    async def build(
        self,
        resolved: ResolvedJob,
        precisions: list[Precision],
        *,
        reduce_range: bool,
        formats: list[str],
    ) -> list[Variant]:
        """Build a job's variants in these formats; when the caller gives up, the child ends."""
        answer = await self._builder.ask(Build(resolved, precisions, reduce_range, formats, self._tools))
        return msgspec.json.decode(answer, type=list[Variant])

    async def score(self, results: list[Result], resolved: ResolvedJob) -> list[Result]:
        """Fill in accuracy and drop."""
        answer = await self._evaluator.ask(Score(results, resolved))
        return msgspec.json.decode(answer, type=list[Result])

    async def judge(self, results: list[Result], spec: JobSpec, context: Context) -> bytes:
        """Return the verdicts, and those over several boards, as a JSON object of `verdicts` and `groups`."""
        return await self._evaluator.ask(Judge(results, spec, context))

    async def report(
        self, results: list[Result], resolved: ResolvedJob, context: Context, *, images: bool
    ) -> str:
        """Return one HTML page, with images of the data set or without."""
        page = await self._evaluator.ask(Report(results, resolved, context, images))
        return msgspec.json.decode(page, type=str)

    async def close(self) -> None:
        """End the children."""
        await self._builder.end()
        await self._evaluator.end()


class _Child:
    """A child process that is started when it is first needed, and again after it died."""

    def __init__(self, name: str, store_dir: Path) -> None:
        self._name = name
        self._store_dir = store_dir
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def ask(self, task: AnyTask) -> bytes:
        """Have one task done and return its answer as JSON; raises RunError with the child's code."""
        async with self._turn:
            process = await self._running()
            try:
                line = await self._exchange(process, msgspec.json.encode(task))
            except BaseException:
                await self.end()
                raise
            if not line.endswith(b"\n"):
                await self.end()
                raise RunError(
                    f"the lab's {self._name} process ended with {process.returncode} during its work",
                    code=f"{self._name}.crashed",
                )
        answer = _answer.decode(line)
        if answer.failure is not None:
            raise RunError(answer.failure.text, code=answer.failure.code)
        return bytes(answer.value)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "edgedyno.controller.laboratory_child",
                str(self._store_dir),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT,
                env={**os.environ, "MPLBACKEND": "agg"},
                start_new_session=True,
            )
            log.info("started the lab's %s process", self._name, extra={"pid": self._process.pid})
        return self._process

    async def _exchange(self, process: asyncio.subprocess.Process, request: bytes) -> bytes:
        if process.stdin is None or process.stdout is None:
            raise RunError("the lab's process has no pipes", code=f"{self._name}.crashed")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(request + b"\n")
            await process.stdin.drain()
        return await process.stdout.readline()

    async def end(self) -> None:
        """Kill the child."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
