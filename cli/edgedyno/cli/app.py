"""The operator's commands: what exists and how it is called. Each command imports its work when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Find out which runtime, precision, threads and cores to deploy your model with: measured on your own
boards, by latency, energy and accuracy, with stated certainty.

\b
Examples:
  edgedyno run job.yaml                 measure on this machine, no broker or controller needed
  edgedyno up --demo                    a whole fleet of one on loopback, with sample jobs
  edgedyno jobs submit job.yaml --wait  hand a job to the fleet and wait for the verdict
  edgedyno agent doctor                 what works on this board, and why not
"""
EPILOG = """\b
Exit codes: 0 ok; 1 the run failed or a declared requirement is not met; 2 usage or configuration;
3 board, broker or controller out of reach; 4 part of the fleet failed; 130 interrupted.
"""

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

app = typer.Typer(
    name="edgedyno",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # importing rich would double the time of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _group(name: str, text: str) -> typer.Typer:
    group = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name=name)
    return group


jobs = _group("jobs", "Submit jobs and follow them.")
boards = _group("boards", "See and label the boards of the fleet.")
results = _group("results", "List, look into and export results.")
models = _group("models", "Build and check the variants of a model.")
datasets = _group("datasets", "Check labelled images before a job is run on them.")
controller = _group("controller", "Run and keep the controller.")
config = _group("config", "See the configuration in force.")


def run_app(arguments: list[str]) -> int:
    """Run one operator's command; return its exit code."""
    try:
        code = app(arguments, prog_name="edgedyno", standalone_mode=True)
    except SystemExit as stop:
        code = stop.code
    return code if isinstance(code, int) else 0


@app.command()
def run(
    job: Annotated[Path, typer.Argument(help="Job file.", metavar="JOB.yaml")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for results, samples and report.")] = None,
    runtime_python: Annotated[
        list[str] | None,
        typer.Option(
            "--python", help="Another interpreter to look for runtimes in, as NAME=PATH.", metavar="NAME=PATH"
        ),
    ] = None,
    *,
    language: Language = None,
    images: Images = True,
    as_json: Json = False,
) -> None:
    """Run a job on this machine, without broker or controller."""
    from edgedyno.cli.run import run_job

    code = run_job(
        job, out=out, pythons=runtime_python or [], as_json=as_json, language=language, images=images
    )
    raise typer.Exit(code)


@app.command()
def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Submit the sample jobs, wait, print the verdicts, end.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="With --demo: stay up afterwards.")] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder to keep everything in (default: a new one).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --demo: folder for results and report.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="HTTP port of the controller; 0 takes a free one.")] = 0,
) -> None:
    """Start broker, controller and one agent on loopback, and say where everything is."""
    from edgedyno.cli.up import bring_up

    raise typer.Exit(bring_up(demo=demo, keep=keep, data=data, out=out, port=port))


@jobs.command("submit")
def jobs_submit(
    job: Annotated[Path, typer.Argument(help="Job file.", metavar="JOB.yaml")],
    url: Url = DEFAULT_URL,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job and print the verdict.")] = False,
    as_json: Json = False,
) -> None:
    """Submit a job; its model and images are uploaded where they are missing."""
    from edgedyno.cli.jobs import submit

    raise typer.Exit(submit(job, url=url, wait=wait, as_json=as_json))


@jobs.command("list")
def jobs_list(url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """List all jobs, newest first."""
    from edgedyno.cli.jobs import list_jobs

    list_jobs(url=url, as_json=as_json)


@jobs.command("show")
def jobs_show(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Show one job and its executions."""
    from edgedyno.cli.jobs import show

    show(job, url=url, as_json=as_json)


@jobs.command("watch")
def jobs_watch(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Follow a job with progress bars until it ends."""
    from edgedyno.cli.jobs import watch

    raise typer.Exit(watch([job], url=url, as_json=as_json))


@jobs.command("cancel")
def jobs_cancel(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Cancel a job on every board."""
    from edgedyno.cli.jobs import act

    act(job, "cancel", url=url, as_json=as_json)


@jobs.command("retry")
def jobs_retry(job: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Run the executions of a job that failed or timed out again."""
    from edgedyno.cli.jobs import act

    act(job, "retry", url=url, as_json=as_json)


@boards.command("list")
def boards_list(url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """List the boards, those that are gone with when they were last seen."""
    from edgedyno.cli.boards import list_boards

    list_boards(url=url, as_json=as_json)


@boards.command("show")
def boards_show(board: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Show what was found on a board."""
    from edgedyno.cli.boards import show

    show(board, url=url, as_json=as_json)


@boards.command("compare")
def boards_compare(
    job: Annotated[str | None, typer.Argument(help="Compare on this job's trials only.")] = None,
    url: Url = DEFAULT_URL,
    *,
    as_json: Json = False,
) -> None:
    """Name boards that are slower, hotter or hungrier than others of their type, and what differs there."""
    from edgedyno.cli.siblings import compare_boards

    compare_boards(job, url=url, as_json=as_json)


@boards.command("label")
def boards_label(
    board: str,
    labels: Annotated[
        list[str], typer.Argument(help="Labels to set; KEY= removes one.", metavar="KEY=VALUE...")
    ],
    url: Url = DEFAULT_URL,
    *,
    as_json: Json = False,
) -> None:
    """Set or remove labels, by which jobs choose boards."""
    from edgedyno.cli.boards import label

    label(board, labels, url=url, as_json=as_json)


@boards.command("drain")
def boards_drain(
    board: str,
    url: Url = DEFAULT_URL,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Give the board new jobs again.")] = False,
    as_json: Json = False,
) -> None:
    """Give a board no new jobs; what runs there ends as usual."""
    from edgedyno.cli.boards import drain

    drain(board, drained=not undo, url=url, as_json=as_json)


JobFilter = Annotated[str | None, typer.Option("--job", help="Only results of this job.")]
BoardFilter = Annotated[str | None, typer.Option("--board", help="Only results of this board.")]


@results.command("list")
def results_list(
    job: JobFilter = None, board: BoardFilter = None, url: Url = DEFAULT_URL, *, as_json: Json = False
) -> None:
    """List results in a table."""
    from edgedyno.cli.results import list_results

    list_results(job=job, board=board, url=url, as_json=as_json)


@results.command("show")
def results_show(
    trial: str,
    job: Annotated[
        str | None, typer.Option("--job", help="Only results of this job, or of a folder of `edgedyno run`.")
    ] = None,
    url: Url = DEFAULT_URL,
    *,
    profile: Annotated[
        bool, typer.Option("--profile", help="How long each operator takes, where the job asked for that.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="With --profile: so many operators.")] = 20,
    as_json: Json = False,
) -> None:
    """Show everything about one trial, by its id or the beginning of it."""
    from edgedyno.cli.results import show

    show(trial, job=job, url=url, as_json=as_json, profile=profile, top=top)


@results.command("export")
def results_export(
    job: JobFilter = None,
    board: BoardFilter = None,
    form: Annotated[str, typer.Option("--output", help="jsonl or csv.", metavar="FORMAT")] = "jsonl",
    url: Url = DEFAULT_URL,
) -> None:
    """Write results to stdout, one line each."""
    from edgedyno.cli.results import export

    export(job=job, board=board, form=form, url=url)


@app.command()
def verdict(
    jobs: Annotated[
        list[str],
        typer.Argument(help="Jobs of the controller, or folders of `edgedyno run --out`.", metavar="JOB..."),
    ],
    url: Url = DEFAULT_URL,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write the report into this file too.", metavar="FILE")
    ] = None,
    *,
    open_report: Annotated[
        bool, typer.Option("--open", help="Write the report and open it in the browser.")
    ] = False,
    language: Language = None,
    as_json: Json = False,
) -> None:
    """Say what to deploy: of each model and board, and of several boards together.

    Ends with 1 where a declared requirement is not met, or cannot be told to be.
    """
    from edgedyno.cli.verdict import show_verdicts

    code = show_verdicts(
        jobs, url=url, as_json=as_json, language=language, report=report_file, open_report=open_report
    )
    raise typer.Exit(code)


@app.command()
def compare(first: str, second: str, url: Url = DEFAULT_URL, *, as_json: Json = False) -> None:
    """Say whether two jobs (or folders of `edgedyno run`) agree: medians within their intervals, and verdicts.

    Ends with 1 where they do not.
    """
    from edgedyno.cli.compare import compare_results

    raise typer.Exit(compare_results(first, second, url=url, as_json=as_json))


@app.command()
def report(
    job: str,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write (default: JOB.html)."),
    ] = None,
    url: Url = DEFAULT_URL,
    *,
    language: Language = None,
    images: Images = True,
) -> None:
    """Write the report of a job, or of the folder that `edgedyno run --out` wrote, as one self-contained HTML file."""
    from edgedyno.cli.verdict import write_report

    write_report(job, out=out, url=url, language=language, images=images)


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


ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file.")]


@controller.command("run")
def controller_run(
    config_file: ConfigFile = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data", help="Folder for artifacts and the database.")
    ] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="HOST:PORT of the MQTT broker.")] = None,
    listen: Annotated[str | None, typer.Option("--listen", help="HOST:PORT of the HTTP API.")] = None,
) -> None:
    """Run the controller in the foreground."""
    from edgedyno.cli.controller import run_controller

    raise typer.Exit(run_controller(config_file, data_dir=data_dir, broker=broker, listen=listen))


@controller.command("migrate")
def controller_migrate(config_file: ConfigFile = None) -> None:
    """Bring the database to this version's schema."""
    from edgedyno.cli.controller import migrate

    migrate(config_file)


@controller.command("backup")
def controller_backup(target: Path, config_file: ConfigFile = None) -> None:
    """Copy database and artifacts into a new folder, while the controller runs."""
    from edgedyno.cli.controller import backup

    backup(target, config_file)


@config.command("show")
def config_show(
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    as_json: Json = False,
) -> None:
    """Print the configuration of agent and controller that is in force here."""
    from edgedyno.cli.config import show_config

    show_config(origin=origin, as_json=as_json)


@app.command("agent", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def agent() -> None:
    """Run the board's side: run, doctor, caps, enroll (`edgedyno agent --help`)."""
    raise AssertionError("dispatched in main")


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"edgedyno {version('edgedyno')}")
        raise typer.Exit


@app.callback(help=HELP)
def main_options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before any command."""
