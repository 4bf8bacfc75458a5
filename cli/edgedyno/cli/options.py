"""Options and defaults that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Url = Annotated[
    str,
    typer.Option(
        "--controller", envvar="EDGEDYNO_CONTROLLER_URL", help="The controller's address.", metavar="URL"
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        "--language",
        help="Of words and report: en or zh (default: the system's, else en).",
        metavar="LANGUAGE",
    ),
]
Images = Annotated[
    bool, typer.Option("--images/--no-images", help="Whether the report shows images of the data set.")
]
DEFAULT_URL = "http://127.0.0.1:8080"


def group(text: str) -> typer.Typer:
    """Return an empty group of commands with its help."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
