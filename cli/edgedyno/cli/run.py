"""`edgedyno run`: a job on this machine, from its file to verdict and report, without any service."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.config import AgentConfig
from edgedyno.cli.energy import energy_line
from edgedyno.cli.intake import resolve_aloud
from edgedyno.cli.notices import pass_notices
from edgedyno.cli.output import print_json, say
from edgedyno.cli.places import (
    cache_folder,
    known_builders,
    known_environments,
    known_meters,
    write_atomic,
    write_results,
)
from edgedyno.cli.progress import BuildProgress, ExecutionProgress
from edgedyno.cli.verdict import exit_code, known_language, print_verdicts
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.resolve import load_job
from edgedyno.controller.lab.variants import (
    build_variants,
    needs_reduce_range,
    unserved,
    wanted_formats,
    what_to_do,
)
from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.manifest import Manifest, ResolvedJob, Variant
from edgedyno.core.predictions import MEDIA_SUFFIX
from edgedyno.core.run import Ended, Environment, Finished, Progressed, RunRequest, decode_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.controller.lab.verdict import Verdict
    from edgedyno.core.board import Capabilities
    from edgedyno.core.result import Result

STOP_SECONDS = 20.0  # a runner ends its burst, writes what it has and stops its workers


def run_job(
    path: Path,
    *,
    out: Path | None,
    pythons: list[str],
    as_json: bool,
    language: str | None = None,
    images: bool = True,
) -> int:
    """Run the job; return 1 where a requirement is not met or nothing could be measured, else 0."""
    spoken = known_language(language)
    spec = load_job(path)
    store = ContentStore(cache_folder() / "store")
    resolved = resolve_aloud(spec, base=path.parent, store=store)
    folder = _usable(out or Path("edgedyno-out") / spec.name)
    request = _prepare(resolved, store, folder, known_environments([_environment(text) for text in pythons]))
    with ExecutionProgress() as progress:
        measured, files = _measure(request, folder / ".run", progress, spec.name)

    def read(sha256: str) -> bytes:
        return files[sha256].read_bytes() if sha256 in files else store.read(sha256)

    # Scoring and plotting bring large libraries: not before the measuring is over, nor for a job with a mistake.
    from edgedyno.controller.lab.language import ENGLISH, speaking
    from edgedyno.controller.lab.scoring import score_results
    from edgedyno.controller.lab.verdict import judge

    results = score_results(measured, read=read, resolved=resolved)
    verdicts = judge(results, spec=spec, read=read)
    _write(folder, results, verdicts, resolved, read)
    from edgedyno.controller.lab.report import judge_and_render

    page = judge_and_render([(results, resolved)], read=read, language=spoken, images=images)
    write_atomic(folder / "report.html", page.encode())
    if as_json:
        print_json({"results": results, "verdicts": verdicts})
    else:
        with speaking(spoken):
            print_verdicts(verdicts if spoken == ENGLISH else judge(results, spec=spec, read=read))
        for notice in pass_notices(results, labelled=resolved.annotations is not None):
            say(notice)
        say(energy_line(results))
        say(f"\nresults, samples and report: {folder}/ (open {folder / 'report.html'})")
    return exit_code(verdicts)


def _usable(folder: Path) -> Path:
    try:
        (folder / ".run").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out: {folder}: expected a folder to write to: {error.strerror}") from error
    return folder


def _environment(text: str) -> Environment:
    name, equals, python = text.partition("=")
    if not equals or not name or not shutil.which(python):
        raise ConfigError(f"--python: found {text!r}, expected NAME=PATH of a Python interpreter")
    return Environment(name, python)


def _prepare(
    resolved: ResolvedJob, store: ContentStore, folder: Path, environments: list[Environment]
) -> RunRequest:
    say("looking at this board")
    meters = known_meters()
    capabilities = read_capabilities(environments=environments, meters=meters)
    variants = _build(resolved, store, capabilities)
    board = AgentConfig().board_id
    manifest = Manifest(
        job=resolved.spec.name,
        execution=f"{resolved.spec.name}.{board}",
        model=resolved.model,
        variants=variants,
        sweep=resolved.spec.sweep,
        measure=resolved.spec.measure,
        images=resolved.images,
        known=resolved.known,
        dataset=resolved.dataset.name if resolved.dataset else None,
        timeout_seconds=resolved.spec.timeouts.whole,
    )
    return RunRequest(
        manifest=manifest,
        board=board,
        attempt=1,
        capabilities=capabilities,
        files=_files(variants, resolved, store),
        work_dir=str((folder / ".run" / "work").absolute()),
        environments=environments,
        meters=meters,
    )


def _build(resolved: ResolvedJob, store: ContentStore, capabilities: Capabilities) -> list[Variant]:
    sweep, tools = resolved.spec.sweep, known_builders()
    formats = wanted_formats(sweep, capabilities.runtimes, tools, resolved.prebuilt)
    for info, form in unserved(sweep, capabilities.runtimes, formats):
        say(f"{info.name} {info.version} is here, with no variants to run: {what_to_do(form)}")
    say(f"building the variants of {resolved.model.name}: {', '.join(formats)}")
    with BuildProgress() as progress:
        variants = build_variants(
            resolved,
            store=store,
            precisions=sweep.precisions,
            reduce_range=needs_reduce_range(capabilities.cpu.features),
            formats=formats,
            tools=tools,
            progress=progress.show,
        )
    for variant in variants:
        if variant.failure is not None:
            label = f"{variant.format} {variant.precision} {variant.name}".rstrip()
            say(f"no variant {label}: {variant.failure.text}")
    return variants


def _files(variants: list[Variant], resolved: ResolvedJob, store: ContentStore) -> dict[str, str]:
    wanted = [variant.file for variant in variants if variant.file] + [
        image.file for image in resolved.images
    ]
    wanted += [each.file for each in resolved.known]
    return {file.sha256: str(store.path(file.sha256)) for file in wanted}


def _measure(
    request: RunRequest, state: Path, progress: ExecutionProgress, name: str
) -> tuple[list[Result], dict[str, Path]]:
    """Run the runner, going on where an interrupted run of the same manifest stopped."""
    log = state / "events.jsonl"
    before = _resume(state, request)
    request_file = state / "request.json"
    write_atomic(
        request_file,
        msgspec.json.encode(
            msgspec.structs.replace(request, done_trials=[event.record.trial for event in before])
        ),
    )
    Path(request.work_dir).mkdir(parents=True, exist_ok=True)
    finished = [*before, *_follow(request_file, log, progress, name)]
    files = {sha256: Path(path) for event in finished for sha256, path in event.files.items()}
    return [event.record for event in finished], files


def _resume(state: Path, request: RunRequest) -> list[Finished]:
    try:
        old = msgspec.json.decode((state / "request.json").read_bytes(), type=RunRequest)
    except (OSError, msgspec.MsgspecError):
        old = None
    if old is None or old.manifest != request.manifest or (state / "ended").exists():
        shutil.rmtree(state, ignore_errors=True)
        return []
    before = _events(state / "events.jsonl")
    say(f"going on with an interrupted run; {len(before)} trials have their result")
    return before


def _events(log: Path) -> list[Finished]:
    events = []
    for line in log.read_bytes().splitlines() if log.exists() else []:
        try:
            event = decode_event(line)
        except msgspec.MsgspecError:
            break  # the line that the interruption cut
        if isinstance(event, Finished):
            events.append(event)
    return events


def _follow(request_file: Path, log: Path, progress: ExecutionProgress, name: str) -> list[Finished]:
    command = [sys.executable, "-m", "edgedyno.agent.measure", str(request_file)]
    errors = (request_file.parent / "runner.log").open("ab")
    finished: list[Finished] = []
    ended: Ended | None = None
    # A session of its own: Ctrl-C reaches us alone, and we let the runner put its work away.
    with (
        errors,
        log.open("ab") as journal,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True) as runner,
    ):
        try:
            for line in runner.stdout or ():
                event = decode_event(line)
                if isinstance(event, Progressed):
                    progress.show(name, event.progress)
                elif isinstance(event, Finished):
                    finished.append(event)
                    journal.write(line)
                    journal.flush()
                else:
                    ended = event
        except BaseException:
            _stop(runner)
            say("stopped; the same command goes on from here")
            raise
    if ended is None or ended.failure is not None:
        reason = (
            ended.failure.text
            if ended and ended.failure
            else f"the runner died with code {runner.returncode}"
        )
        raise RunError(f"{reason}; its log: {request_file.parent / 'runner.log'}")
    (request_file.parent / "ended").touch()
    return finished


def _stop(runner: subprocess.Popen[bytes]) -> None:
    runner.send_signal(signal.SIGTERM)
    try:
        runner.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        runner.kill()


def _write(
    folder: Path,
    results: list[Result],
    verdicts: list[Verdict],
    resolved: ResolvedJob,
    read: Callable[[str], bytes],
) -> None:
    for result in results:
        kinds = (
            ("samples", result.samples_sha256, ".json"),
            ("predictions", result.predictions_sha256, MEDIA_SUFFIX),
            ("profiles", result.profile_sha256, ".json"),
        )
        for kind, sha256, suffix in kinds:
            if sha256:
                write_atomic(folder / kind / f"{sha256}{suffix}", read(sha256))
    write_atomic(folder / "job.json", msgspec.json.format(msgspec.json.encode(resolved), indent=2))
    write_atomic(folder / "verdict.json", msgspec.json.format(msgspec.json.encode(verdicts), indent=2))
    write_results(folder, results)
