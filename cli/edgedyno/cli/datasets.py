"""`edgedyno datasets`: list those that ship, and check any: what is in it, what is wrong, what it could show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.cli.intake import reading_images
from edgedyno.cli.output import print_json, print_table, stdout
from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.datasets import (
    Survey,
    examine_dataset,
    find_dataset,
    finding_line,
    summarise,
)
from edgedyno.controller.lab.profiles import find_profile, names_of
from edgedyno.core.profile import DatasetProfile, ModelProfile, Task
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from edgedyno.controller.lab.profiles import Found

_SHOWN_CLASSES = 15
_BAR_WIDTH = 24


def list_datasets(*, as_json: bool) -> None:
    """Print the packaged data sets."""
    found = [find_profile(name, DatasetProfile, base=Path.cwd()) for name in names_of(DatasetProfile)]
    if as_json:
        print_json([each.profile for each in found])
        return
    rows = [_row(each) for each in found]
    print_table("", ("data set", "task", ">images", ">labels", "licence"), rows)


def _row(found: Found[DatasetProfile]) -> list[object]:
    profile = found.profile
    survey = summarise(profile.name, examine_dataset(profile, None, base=found.base, task=profile.task))
    return [profile.name, profile.task, survey.images, survey.labels, profile.licence]


def check(wanted: str, *, model: str | None, as_json: bool) -> int:
    """Print what a data set holds and what is wrong with it; return 1 where a job with it would be refused."""
    task, names = _of_model(model)
    found = find_dataset(wanted, base=Path.cwd(), task=task)
    with reading_images() as progress:
        examined = examine_dataset(
            found.profile, names, base=found.base, task=task or _task(found, wanted), progress=progress
        )
    survey = summarise(found.profile.name, examined)
    if as_json:
        print_json(survey)
    else:
        _print(survey)
    return int(any(finding.severity == "error" for finding in survey.findings))


def _of_model(model: str | None) -> tuple[Task | None, list[str] | None]:
    if model is None:
        return None, None
    found = find_profile(model, ModelProfile, base=Path.cwd())
    return found.profile.task, class_names(found.profile.classes, base=found.base)


def _task(found: Found[DatasetProfile], wanted: str) -> Task | None:
    """Return the task that a profile states; of a folder given as it is, the labels tell."""
    return None if found.profile.images == wanted else found.profile.task


def _print(survey: Survey) -> None:
    print_table("", ("", ""), [(name, text) for name, text in _facts(survey) if text is not None])
    if len(set(survey.classes.values())) > 1:
        _print_classes(survey)
    for line in [*map(finding_line, survey.findings), *_verdict(survey)]:
        # In a pipe a line stays one; on a terminal no word is cut in two.
        stdout().print(line, markup=False, soft_wrap=not stdout().is_terminal)


def _facts(survey: Survey) -> list[tuple[str, str | None]]:
    boxes = survey.box_sizes
    sizes = None if boxes is None else ", ".join(f"{count} {name}" for name, count in boxes.items())
    background = survey.images - survey.images_with_labels
    unit = "boxes" if survey.task == "detect" else "images"
    return [
        ("data set", survey.name),
        ("found", survey.found),
        ("task", survey.task or "none: without labels there is no accuracy, only agreement with FP32"),
        ("images", f"{survey.images} ({format_bytes(survey.bytes)})"),
        (
            "background",
            f"{background} image{'s' if background != 1 else ''} without an object"
            if background and survey.task
            else None,
        ),
        *((name, "{} to {} px, median {}".format(*_ends(side))) for name, side in survey.image_sizes.items()),
        (
            "labels",
            f"{survey.labels} {unit} of {len(survey.classes)} classes{_each(survey)}"
            if survey.task
            else None,
        ),
        ("box sizes", f"{sizes} (borders at 32 and 96 px, as COCO's)" if sizes else None),
    ]


def _images(count: int) -> str:
    return f"{count} image{'s' if count != 1 else ''}"


def _each(survey: Survey) -> str:
    counts = set(survey.classes.values())
    return f", {min(counts)} each" if len(counts) == 1 else ""


def _ends(side: list[int]) -> tuple[int, int, int]:
    least, middle, most = side
    return least, most, middle


def _print_classes(survey: Survey) -> None:
    most = max(survey.classes.values())
    shown = list(survey.classes.items())[:_SHOWN_CLASSES]
    rows = [(name, count, "█" * max(round(_BAR_WIDTH * count / most), 1)) for name, count in shown]
    stdout().print()
    print_table("", ("class", ">labels", ""), rows)
    left = len(survey.classes) - len(shown)
    if left:
        stdout().print(
            f"and {left} more classes with {min(survey.classes.values())} to {shown[-1][1]} labels each",
            markup=False,
        )
    stdout().print()


def _verdict(survey: Survey) -> list[str]:
    errors = sum(finding.severity == "error" for finding in survey.findings)
    warnings = sum(finding.severity == "warning" for finding in survey.findings)
    if errors:
        usable = f"not usable: {errors} kind{'s' if errors != 1 else ''} of error to mend first"
    else:
        usable = "usable" + (f", with {warnings} warning{'s' if warnings != 1 else ''}" if warnings else "")
    return [usable, *([survey.power.words] if survey.power and not errors else [])]
