"""The operator's commands: what exists and how it is called. Each command imports its work when it runs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from edgedyno.cli import fleet_commands as fleet
from edgedyno.cli import identity_commands
from edgedyno.cli import lab_commands as lab
from edgedyno.cli.options import DEFAULT_URL, Images, Json, Language, Url, group

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

app = typer.Typer(
    name="edgedyno",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # importing rich would double the time of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


controller = group("Run and keep the controller.")
config = group("See the configuration in force.")
for _name, _commands in {
    "jobs": fleet.jobs,
    "boards": fleet.boards,
    "groups": fleet.groups,
    "results": fleet.results,
    "models": lab.models,
    "datasets": lab.datasets,
    "controller": controller,
    "config": config,
}.items():
    app.add_typer(_commands, name=_name)
identity_commands.add_to(controller, fleet.boards)


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


ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file.")]


@controller.command("run")
def controller_run(
    config_file: ConfigFile = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data", help="Folder for artifacts and the database.")
    ] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="HOST:PORT of the MQTT broker.")] = None,
    listen: Annotated[str | None, typer.Option("--listen", help="HOST:PORT of the HTTP API.")] = None,
    *,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Serve a broker whose former controller, of another database, is gone."
        ),
    ] = False,
) -> None:
    """Run the controller in the foreground."""
    from edgedyno.cli.controller import run_controller

    code = run_controller(config_file, data_dir=data_dir, broker=broker, listen=listen, take_over=take_over)
    raise typer.Exit(code)


@controller.command("migrate")
def controller_migrate(config_file: ConfigFile = None) -> None:
    """Bring the database to this version's schema."""
    from edgedyno.cli.controller import migrate

    migrate(config_file)


token = group("Make, list and revoke the tokens of the HTTP API.")
controller.add_typer(token, name="token")


class TokenScope(str, Enum):
    """What a token allows; each of the first three holds those before it."""

    read = "read"
    submit = "submit"
    admin = "admin"
    board = "board"


@token.command("create")
def token_create(
    name: str,
    scope: Annotated[
        TokenScope,
        typer.Option(
            "--scope",
            help="read; submit: jobs and files too; admin: all; board: a board's files; NAME is the board's.",
        ),
    ],
    expires: Annotated[str | None, typer.Option("--expires", help="After this time, such as 90d.")] = None,
    config_file: ConfigFile = None,
) -> None:
    """Make a token; it is printed once and kept nowhere."""
    from edgedyno.cli.tokens import create

    create(name, scope.value, expires, config_file)


@token.command("list")
def token_list(config_file: ConfigFile = None, *, as_json: Json = False) -> None:
    """List tokens, without their secrets."""
    from edgedyno.cli.tokens import list_all

    list_all(config_file, as_json=as_json)


@token.command("revoke")
def token_revoke(name: str, config_file: ConfigFile = None) -> None:
    """Let a token open nothing any more."""
    from edgedyno.cli.tokens import revoke

    revoke(name, config_file)


signing_key = group("See and rotate the key that signs what boards are told to run.")
controller.add_typer(signing_key, name="signing-key")


@signing_key.command("show")
def signing_key_show(config_file: ConfigFile = None, *, as_json: Json = False) -> None:
    """Print the public keys that boards pin."""
    from edgedyno.cli.signing import show

    show(config_file, as_json=as_json)


@signing_key.command("rotate")
def signing_key_rotate(
    config_file: ConfigFile = None,
    *,
    activate: Annotated[
        bool, typer.Option("--activate", help="Sign with the next key from the controller's next start on.")
    ] = False,
) -> None:
    """Make the next key, to be pinned beside the current one; with --activate, change over to it."""
    from edgedyno.cli.signing import rotate

    rotate(config_file, activate=activate)


@app.command()
def login(
    url: Annotated[str, typer.Argument(help="The controller's address.", metavar="URL")],
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="File with the token; asked for where it is not given."),
    ] = None,
) -> None:
    """Keep a token for a controller, in a file that only you can read."""
    from edgedyno.cli.tokens import login as keep
    from edgedyno.cli.tokens import read_secret

    keep(url, read_secret(token_file) if token_file else typer.prompt("token", hide_input=True, err=True))


@controller.command("backup")
def controller_backup(
    target: Path,
    config_file: ConfigFile = None,
    *,
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys", help="The keys of the authority and for signing, too: whoever has them is it."
        ),
    ] = False,
) -> None:
    """Copy database and artifacts into a new folder, while the controller runs."""
    from edgedyno.cli.controller import backup

    backup(target, config_file, with_keys=with_keys)


@controller.command("restore")
def controller_restore(
    source: Annotated[Path, typer.Argument(help="Folder that `backup` wrote.", metavar="BACKUP")],
    data_dir: Annotated[Path, typer.Option("--data", help="Folder to make: empty, or not there yet.")],
) -> None:
    """Make a controller's data folder of a backup; it is checked first, and nothing is overwritten."""
    from edgedyno.cli.controller import restore

    restore(source, data_dir)


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
    """Run the board's side: run, doctor, caps, capture, runtimes (`edgedyno agent --help`)."""
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
