"""The lab's child process: tasks as JSON lines on stdin, answers as JSON lines on stdout, words on stderr."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.laboratory import AnyTask, Build, Judge, Report, Score
from edgedyno.core.errors import EdgedynoError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
_task: msgspec.json.Decoder[AnyTask] = msgspec.json.Decoder(AnyTask)


def do(task: AnyTask, store_dir: Path) -> Any:
    """Do one task over the artifact store and return what encodes as its answer."""
    from edgedyno.controller.lab.files import ContentStore

    store = ContentStore(store_dir)

    def read(sha256: str) -> bytes:
        return store.path(sha256).read_bytes()

    if isinstance(task, Build):
        from edgedyno.controller.lab.variants import build_variants

        return build_variants(
            task.resolved,
            store=store,
            precisions=task.precisions,
            reduce_range=task.reduce_range,
            formats=task.formats,
            tools=task.tools,
        )
    if isinstance(task, Score):
        from edgedyno.controller.lab.scoring import score_results

        return score_results(task.results, read=read, resolved=task.resolved)
    return _tell(task, read)


def _tell(task: Judge | Report, read: Callable[[str], bytes]) -> Any:
    """Judge in the language that was asked for, and write the report where that is asked."""
    from edgedyno.controller.lab.language import speaking
    from edgedyno.controller.lab.verdict import Verdict, judge, judge_groups

    context = task.context
    earlier = msgspec.json.decode(context.earlier, type=list[Verdict])
    spec = task.spec if isinstance(task, Judge) else task.resolved.spec
    with speaking(context.language):
        verdicts = judge(task.results, spec=spec, read=read, earlier=earlier)
        groups = judge_groups(verdicts, task.results, spec, types=context.types)
    if isinstance(task, Judge):
        return {"verdicts": verdicts, "groups": groups}
    from edgedyno.controller.lab.report import Section, render_report

    section = Section(verdicts, task.results, task.resolved, groups)
    return render_report([section], read=read, language=context.language, images=task.images)


def answer(line: bytes, store_dir: Path) -> dict[str, Any]:
    """Do the task in `line`; whatever goes wrong is an answer with a code and a text."""
    try:
        return {"value": do(_task.decode(line), store_dir)}
    except EdgedynoError as error:
        return {"failure": {"code": error.code, "text": str(error)}}
    except Exception as error:
        log.exception("a task of the lab failed")
        return {"failure": {"code": "lab.failed", "text": f"{type(error).__name__}: {error}"}}


def main() -> None:
    """Serve until stdin ends."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    store_dir = Path(sys.argv[1])
    # Libraries print what they like: descriptor 1 becomes stderr, and answers keep the real one.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        answers.write(msgspec.json.encode(answer(line, store_dir)) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
