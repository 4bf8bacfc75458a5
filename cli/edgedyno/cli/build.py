"""`edgedyno models build`: the variants of a model into a folder, with a table of what they are."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.config import find_state_dir, load_config
from edgedyno.agent.provision.made import all_environments, builder_interpreters
from edgedyno.cli.models import default_dataset, resolve
from edgedyno.cli.output import print_json, print_table, say, stdout
from edgedyno.cli.places import cache_folder
from edgedyno.cli.progress import BuildProgress
from edgedyno.cli.scores import Scored, score_variants
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.variants import (
    FOREIGN,
    FORMATS,
    build_variants,
    needs_reduce_range,
    what_to_do,
)
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import Variant
from edgedyno.core.run import Environment
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.manifest import ResolvedJob

PRECISIONS = ("fp32", "fp16", "int8")
FILES_FROM_COLUMNS = 120
NOT_ASKED = "not asked for"
# What runs a format in the interpreter that builds it, where the same package does both.
_RUNS_TOO = {
    "ncnn": "ncnn",
    "openvino": "openvino",
    "mnn": "mnn",
    "tflite": "litert",
    "rknn": "rknn-simulator",
}


class Order(Struct, frozen=True):
    """What the command line asks for."""

    model: str
    out: Path
    dataset: str | None
    formats: str | None
    precisions: str
    builders: list[str]
    score: bool
    reduce_range: bool | None


class Row(Struct, frozen=True):
    """One variant with what was found about it."""

    variant: Variant
    files: list[str]
    score: Scored


def build(order: Order, *, as_json: bool) -> int:
    """Build, copy and score; return 1 where a variant could not be built."""
    tools = {**builder_interpreters(find_state_dir(load_config())), **_builders(order.builders)}
    formats = _formats(order.formats, tools)
    precisions = _listed(order.precisions, PRECISIONS, "--precisions")
    resolved = resolve(order.model, dataset=order.dataset or default_dataset(order.model))
    store = ContentStore(cache_folder() / "store")
    reduce_range = order.reduce_range
    if reduce_range is None:
        reduce_range = needs_reduce_range(read_capabilities(probe_runtimes=False).cpu.features)
    say(
        f"building {', '.join(formats)} in {', '.join(precisions)} of {resolved.model.name}, "
        f"reduce_range={reduce_range}"
    )
    with BuildProgress() as progress:
        variants = build_variants(
            resolved,
            store=store,
            precisions=precisions,  # type: ignore[arg-type] # checked above
            reduce_range=reduce_range,
            formats=formats,
            tools=tools,
            progress=progress.show,
        )
    copies = [_copy(variant, store, order.out, resolved) for variant in variants]
    scores = _scores(order, resolved, variants, store, tools)
    rows = [Row(*parts) for parts in zip(variants, copies, scores, strict=True)]
    if as_json:
        print_json([_as_json(row) for row in rows])
    else:
        _print(rows)
    return int(any(_counts(variant, named=order.formats is not None) for variant in variants))


def _counts(variant: Variant, *, named: bool) -> bool:
    """Tell whether a failure is one: a precision that a format has not is none unless the format was asked for."""
    return variant.failure is not None and (named or variant.failure.code != "variant.precision")


def _builders(flags: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in flags:
        name, equals, python = text.partition("=")
        place = shutil.which(python) if equals else None
        if name not in FOREIGN or place is None:
            raise ConfigError(
                f"--builder: found {text!r}, expected FORMAT=PYTHON with one of {', '.join(FOREIGN)} and the path "
                f"of an interpreter{nearest(name, FOREIGN)}"
            )
        found[name] = place
    return found


def _listed(text: str, known: Sequence[str], flag: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"{flag}: found {name!r}, expected some of {', '.join(known)}{nearest(name, known)}"
            )
    if not names:
        raise ConfigError(f"{flag}: found nothing, expected some of {', '.join(known)}")
    return names


def _formats(given: str | None, tools: dict[str, str]) -> list[str]:
    """Return the formats that were asked for, or those that can be built here; say what the others take."""
    if given is not None:
        return _listed(given, FORMATS, "--formats")
    for name in FOREIGN:
        if name not in tools:
            say(f"not building {name}: {what_to_do(name)}")
    return [name for name in FORMATS if name not in FOREIGN or name in tools]


def _copy(variant: Variant, store: ContentStore, out: Path, resolved: ResolvedJob) -> list[str]:
    """Write the variant's file, or the two files of its bundle, into the folder; return what was written."""
    if variant.file is None:
        return []
    out.mkdir(parents=True, exist_ok=True)
    named = "_".join(part for part in (resolved.model.name, variant.precision, variant.name) if part)
    source = store.path(variant.file.sha256)
    if variant.format not in ("ncnn", "openvino"):
        return [_place(source.read_bytes(), out / f"{named}.{variant.format}")]
    with zipfile.ZipFile(source) as bundle:
        return [
            _place(bundle.read(member), out / f"{named}.{variant.format}{Path(member).suffix}")
            for member in sorted(bundle.namelist(), reverse=True)
        ]


def _place(data: bytes, path: Path) -> str:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)
    return str(path)


def _scores(
    order: Order,
    resolved: ResolvedJob,
    variants: list[Variant],
    store: ContentStore,
    tools: dict[str, str],
) -> list[Scored]:
    if not order.score:
        return [Scored(reason=NOT_ASKED) for _ in variants]
    if resolved.annotations is None:
        return [Scored(reason="no data set with labels was named") for _ in variants]
    if not any(variant.file for variant in variants):
        return [Scored(reason="there is no file") for _ in variants]
    with tempfile.TemporaryDirectory(prefix="edgedyno-scores-") as work, BuildProgress() as progress:
        environments = _environments(tools)
        return score_variants(
            resolved,
            variants,
            store=store,
            environments=environments,
            work=Path(work),
            between=progress.show_images,
        )


def _environments(tools: dict[str, str]) -> list[Environment]:
    """Return where runtimes are looked for: as the agent would, and in the builders' own interpreters."""
    config = load_config()
    known = all_environments(config.runtimes, find_state_dir(config))
    pythons = {each.python for each in known}
    return [
        *known,
        *(
            Environment(f"builder of {name}", python, [_RUNS_TOO[name]])
            for name, python in tools.items()
            if python not in pythons
        ),
    ]


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "variant": row.variant,
        "seconds": row.variant.recipe.get("build_seconds"),
        "path": row.files[0] if row.files else "",
        "files": row.files,
        "score": row.score,
    }


def _print(rows: Sequence[Row]) -> None:
    columns = ("format", "precision", ">size", ">build s", ">accuracy", ">drop", "in", "file or failure")
    # On a narrow terminal the names of files, which are those of the variants, would break all rows.
    shown = len(columns) - (stdout().is_terminal and stdout().width < FILES_FROM_COLUMNS)
    print_table("", columns[:shown], [_cells(row)[:shown] for row in rows])
    told: dict[str, list[str]] = {}
    for row in rows:
        label = f"{row.variant.format} {row.variant.precision} {row.variant.name}".rstrip()
        for text in _words(row):
            told.setdefault(text, []).append(label)
    for text, labels in told.items():
        say(f"{', '.join(labels)}: {text}")


def _words(row: Row) -> list[str]:
    """Return what has to be said of a variant beneath the table."""
    if row.variant.failure is not None:
        return [row.variant.failure.text]
    unscored = [f"no accuracy: {row.score.reason}"] if row.score.reason not in (None, NOT_ASKED) else []
    no_drop = row.score.drop is None and row.score.accuracy is not None and row.score.drop_reason
    is_reference = (row.variant.format, row.variant.precision) == ("onnx", "fp32")
    uncompared = [f"no drop: {no_drop}"] if no_drop and not is_reference else []
    return [*row.variant.recipe.get("warnings", []), *unscored, *uncompared]


def _cells(row: Row) -> list[object]:
    variant, scored = row.variant, row.score
    precision = variant.precision + (f" ({variant.name})" if variant.name else "")
    seconds = variant.recipe.get("build_seconds")
    return [
        variant.format,
        precision,
        format_bytes(variant.file.size_bytes) if variant.file else None,
        None if seconds is None else f"{seconds:.1f}",
        None if scored.accuracy is None else f"{scored.accuracy.value:.3f}",
        None if scored.drop is None else f"{scored.drop.value * 100:.1f} pt",
        scored.place(),
        Path(row.files[0]).name if row.files else variant.failure and variant.failure.code,
    ]
