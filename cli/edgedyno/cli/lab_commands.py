"""The commands that look at a user's files: `models` and `datasets`. Each imports its work when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedyno.cli.options import Json, group

models = group("Build and check the variants of a model.")
datasets = group("Check labelled images before a job is run on them.")


@models.command("list")
def models_list(*, as_json: Json = False) -> None:
    """List the model profiles that come with edgedyno."""
    from edgedyno.cli.models import list_models

    list_models(as_json=as_json)


@models.command("check")
def models_check(
    model: Annotated[
        str, typer.Argument(help="A model file of any format, or a profile.", metavar="FILE|MODEL")
    ],
    against: Annotated[
        str | None,
        typer.Option("--model", help="Of a file: the profile that its input should fit.", metavar="MODEL"),
    ] = None,
    *,
    variants: Annotated[
        bool,
        typer.Option("--variants", help="Of a profile: build its ONNX variants and show each known images."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what a model file or profile is, and what will trip; end with 1 where it will not run or see as it should."""
    from edgedyno.cli.models import check

    raise typer.Exit(check(model, against=against, variants=variants, as_json=as_json))


@models.command("build")
def models_build(
    model: str,
    out: Annotated[Path, typer.Option("--out", help="Folder for the variants.")] = Path("variants"),
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="Data set to calibrate with, and to score with (default: coco_ccby for a detector).",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--formats", help="Comma-separated (default: onnx and every format whose builder is at hand)."
        ),
    ] = None,
    precisions: Annotated[str, typer.Option("--precisions", help="Comma-separated.")] = "fp32,fp16,int8",
    builder: Annotated[
        list[str] | None,
        typer.Option(
            "--builder",
            help="An interpreter that has the tools of a format; those made by `edgedyno agent runtimes add` "
            "are found by themselves.",
            metavar="FORMAT=PYTHON",
        ),
    ] = None,
    *,
    score: Annotated[
        bool, typer.Option(help="Score each variant in a runtime of its format that is at hand.")
    ] = True,
    reduce_range: Annotated[
        bool | None,
        typer.Option(help="7-bit weights, for x86 without VNNI (default: as this machine needs)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the variants of a model from its FP32 source, and score them.

    One that cannot be built does not end the others; then the command ends with 1.
    """
    from edgedyno.cli.build import Order, build

    order = Order(model, out, dataset, formats, precisions, builder or [], score, reduce_range)
    raise typer.Exit(build(order, as_json=as_json))


@datasets.command("list")
def datasets_list(*, as_json: Json = False) -> None:
    """List the data sets that come with edgedyno."""
    from edgedyno.cli.datasets import list_datasets

    list_datasets(as_json=as_json)


@datasets.command("check")
def datasets_check(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A folder of labelled images, an annotations file, or a data set's profile.",
            metavar="PATH|NAME",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", help="The model whose classes the labels should be of.", metavar="MODEL"),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say what a data set holds, what is wrong with it, and how small a drop it could show.

    COCO, YOLO, Pascal VOC, a folder for each class, and CSV are told by what is there. Ends with 1 where a job with
    it would be refused.
    """
    from edgedyno.cli.datasets import check

    raise typer.Exit(check(dataset, model=model, as_json=as_json))
