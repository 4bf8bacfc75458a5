"""The board's commands: `edgedyno agent run | doctor | caps | capture | runtimes | enroll`.

Argparse, to keep the daemon light.

Data goes to stdout, words to stderr; the exit code comes from the error's class.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedyno.agent.lean import import_messages
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.config import AgentConfig
    from edgedyno.agent.finding import Finding
    from edgedyno.core.board import Capabilities
    from edgedyno.core.run import Environment

log = logging.getLogger(__name__)

EPILOG = """\
examples:
  edgedyno agent run                                  serve with /etc/edgedyno/agent.yaml
  edgedyno agent run --broker broker.lan --check      try the connection and end
  edgedyno agent caps --json                          what this board has
  edgedyno agent caps --profile                       a draft profile for a new board
  edgedyno agent capture my-board                     record this board, without its names
  edgedyno agent doctor                               what works here, and why not
  edgedyno agent runtimes add ncnn                    add a runtime, in an environment of its own

exit codes: 0 ok, 1 a check or the run failed, 2 usage or configuration,
3 broker or controller out of reach, 130 interrupted
"""
CHECK_SECONDS = 15.0


def main(argv: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    try:
        options = _parser(runtimes=list(argv[:1]) == ["runtimes"]).parse_args(list(argv))
    except SystemExit as error:
        return int(error.code or 0)
    _log_to_stderr(options.log_level)
    try:
        code: int = options.command(options)
    except EdgedynoError as error:
        sys.stderr.write(f"error: {error} [{error.code}]\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to say, not even at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser(*, runtimes: bool = False) -> argparse.ArgumentParser:
    """Build the parser; what `runtimes` needs is imported for that command only."""
    parser = argparse.ArgumentParser(
        prog="edgedyno agent",
        description="The board's side of edgedyno.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = _command(commands, "run", "serve jobs until told to stop", run_daemon)
    run.add_argument("--board", help="id of this board (default: the host's name)")
    run.add_argument("--broker", metavar="HOST[:PORT]", help="MQTT broker")
    run.add_argument(
        "--controller-url", metavar="URL", help="controller's HTTP API (default: as it says itself)"
    )
    run.add_argument("--state-dir", metavar="DIR", help="where results, journal and artifacts are kept")
    run.add_argument("--allow-root", action="store_true", help="serve as root with the system's state folder")
    run.add_argument("--check", action="store_true", help="try to connect, say how it went, and end")
    caps = _command(commands, "caps", "print what this board has", print_caps)
    caps.add_argument("--json", action="store_true", help="as JSON")
    caps.add_argument(
        "--root", type=Path, metavar="DIR", help="read a recorded board instead of this machine"
    )
    caps.add_argument("--profile", action="store_true", help="write a draft board profile, as YAML")
    caps.add_argument(
        "--measure", action="store_true", help="measure bandwidth and arithmetic anew, some seconds"
    )
    caps.add_argument("--measure-stale", action="store_true", help=argparse.SUPPRESS)
    capture = _command(commands, "capture", "record this board as a redacted test fixture", capture_board)
    capture.add_argument("folder", type=Path, metavar="DIR", help="a new folder for the recording")
    capture.add_argument("--root", type=Path, metavar="DIR", help="take it from another root than /")
    doctor = _command(commands, "doctor", "say what works here and why not", print_doctor)
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.add_argument(
        "--root", type=Path, metavar="DIR", help="examine a recorded board instead of this machine"
    )
    if runtimes:
        from edgedyno.agent.provision.commands import add_parser

        add_parser(commands, _common)
    else:
        commands.add_parser("runtimes", help="make, list and remove environments with runtimes")
    join = _command(commands, "enroll", "join a controller with a one-time token", enroll)
    join.add_argument("token", nargs="?", metavar="TOKEN", help="the token, or @FILE, or - for stdin")
    join.add_argument("--board", help="id of this board (default: the token's, else the configured one)")
    join.add_argument("--state-dir", metavar="DIR", help="where the agent keeps its state")
    join.add_argument("--renew", action="store_true", help="renew the certificate now")
    join.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _command(commands: Any, name: str, text: str, function: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    _common(parser)
    parser.set_defaults(command=function)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: /etc/edgedyno/agent.yaml")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def _log_to_stderr(level: str) -> None:
    # journald adds the time itself.
    time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format=f"{time}%(levelname)s %(name)s: %(message)s"
    )


def _config(options: argparse.Namespace) -> AgentConfig:
    from edgedyno.agent.config import load_config

    flags = {
        name: getattr(options, name, None) for name in ("board", "broker", "controller_url", "state_dir")
    }
    return load_config(options.config, flags=flags)


def _environments(config: AgentConfig) -> list[Environment]:
    from edgedyno.agent.config import find_state_dir
    from edgedyno.agent.provision.made import all_environments

    return all_environments(config.runtimes, find_state_dir(config))


def run_daemon(options: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    import_messages()
    from msgspec.structs import replace

    from edgedyno.agent.config import choose_state_dir, find_state_dir
    from edgedyno.agent.identity import with_identity

    config = _config(options)
    if options.check:
        state_dir = find_state_dir(config)
        return check_broker(with_identity(config, state_dir), state_dir)
    from edgedyno.agent.daemon import Daemon
    from edgedyno.agent.inventory import read_inventory
    from edgedyno.agent.provision.made import all_environments

    refuse_root(config, allowed=options.allow_root)
    state_dir = choose_state_dir(config)
    config = with_identity(config, state_dir)
    config = replace(config, runtimes=all_environments(config.runtimes, state_dir))
    capabilities = read_inventory(
        state_dir / "capabilities.json", config.runtimes, meters=config.meters, config_file=options.config
    )
    Daemon(config, state_dir, _labelled(capabilities, config)).run()
    return 0


def refuse_root(config: AgentConfig, *, allowed: bool) -> None:
    """Raise ConfigError where the system's agent would run as root: it needs no right that root has.

    With a state folder of its own, as in a container or a test, it runs and says so.
    """
    if os.geteuid() != 0 or allowed:
        return
    if config.state_dir or os.environ.get("STATE_DIRECTORY"):
        log.warning("the agent runs as root: a runtime or model that is broken into has the whole machine")
        return
    raise ConfigError(
        "found user root, expected one without rights: systemd/edgedyno-agent.service runs as `edgedyno`; or name a "
        "folder by --state-dir; or insist by --allow-root",
        code="agent.root",
    )


def _labelled(capabilities: Capabilities, config: AgentConfig) -> Capabilities:
    from msgspec.structs import replace

    return replace(capabilities, labels={**capabilities.labels, **config.labels})


def check_broker(config: AgentConfig, state_dir: Path) -> int:
    """Connect to the broker once, without disturbing a running agent. Raises RetryableError."""
    from edgedyno.agent.folder_lock import is_held
    from edgedyno.agent.mqtt import try_broker, try_tls

    broker = config.broker
    only_tls = broker.tls is not None and broker.tls.cert_file is not None and is_held(state_dir)
    problem = (try_tls if only_tls else try_broker)(broker, seconds=CHECK_SECONDS)
    address = f"{broker.host}:{broker.port_or_default}"
    if problem is not None:
        raise RetryableError(f"broker {address}: out of reach: {problem}", code="broker.unreachable")
    said = "connected by TLS, no further: this board's agent runs and has its place at the broker"
    sys.stderr.write(f"broker {address}: {said if only_tls else 'connected'}\n")
    return 0


def print_caps(options: argparse.Namespace) -> int:
    """Print the board's capabilities."""
    from edgedyno.agent.capabilities import read_capabilities

    config = _config(options)
    if options.root is not None and not options.root.is_dir():
        raise ConfigError(f"--root: found no folder {options.root}", code="caps.root")
    environments = None if options.root else _environments(config)
    meters = [] if options.root else config.meters
    capabilities = read_capabilities(root=options.root or Path("/"), environments=environments, meters=meters)
    labelled = _labelled(capabilities, config)
    if options.root is None:
        labelled = _with_speeds(labelled, config, options)
    if options.profile:
        return print_draft(labelled, options.root or Path("/"))
    if options.json:
        sys.stdout.write(_pretty(labelled))
    else:
        from edgedyno.agent.caps_table import caps_table

        sys.stdout.write(caps_table(labelled))
    return 0


def _with_speeds(
    capabilities: Capabilities, config: AgentConfig, options: argparse.Namespace
) -> Capabilities:
    """Add the measured speeds that are kept, or measure them."""
    from edgedyno.agent.config import choose_state_dir, find_state_dir
    from edgedyno.agent.speeds import with_speeds

    writes = options.measure or options.measure_stale
    folder = choose_state_dir(config) if writes else find_state_dir(config)
    return with_speeds(
        capabilities,
        _environments(config),
        folder / "speeds.json",
        measure=options.measure,
        when_stale=options.measure_stale,
    )


def print_draft(capabilities: Capabilities, root: Path) -> int:
    """Print a draft profile for a board, whether it has one already or not."""
    from edgedyno.agent.host.board import read_board
    from edgedyno.agent.host.draft import draft_profile
    from edgedyno.agent.host.place import locate

    place = locate(root)
    sys.stdout.write(draft_profile(place, read_board(place), capabilities))
    if capabilities.profile != "generic":
        sys.stderr.write(f"this board has a profile already: {capabilities.profile}\n")
    return 0


def capture_board(options: argparse.Namespace) -> int:
    """Record this board; 1 where the recording does not give the same capabilities."""
    from edgedyno.agent.host.capture import capture
    from edgedyno.agent.recording import compare_recording

    made = capture(options.root or Path("/"), options.folder)
    for line in made.lines():
        sys.stderr.write(_wrapped(line) + "\n")
    differences = compare_recording(options.root or Path("/"), options.folder)
    for text in differences:
        sys.stderr.write(_wrapped(f"differs  {text}") + "\n")
    sys.stdout.write(f"{options.folder}\n")
    return 1 if differences else 0


def print_doctor(options: argparse.Namespace) -> int:
    """Print what works and what does not; 1 when something has failed."""
    from edgedyno.agent.doctor import examine

    root = options.root or Path("/")
    config = _config(options)
    findings = (
        examine(root)
        if options.root
        else examine(root, environments=_environments(config), meters=config.meters)
    )
    if options.root is None:
        from edgedyno.agent.confinement import confinement_findings

        findings += [_trust_finding(config), *confinement_findings()]
    if options.json:
        sys.stdout.write(_pretty(findings))
    else:
        for finding in findings:
            sys.stdout.write(_wrapped(f"{finding.status:4}  {finding.name}: {finding.text}") + "\n")
            if finding.remedy:
                sys.stdout.write(f"      {finding.remedy}\n")
    return 1 if any(finding.status == "fail" for finding in findings) else 0


def _trust_finding(config: AgentConfig) -> Finding:
    """Say whether anybody at the broker may give this board work."""
    from edgedyno.agent.config import find_state_dir
    from edgedyno.agent.finding import Finding
    from edgedyno.agent.trust import read_trust

    try:
        pinned = read_trust(find_state_dir(config), config.trusted_keys).key_ids
    except ConfigError as error:
        return Finding("manifests", "fail", str(error), "the agent will not start like this")
    if pinned:
        return Finding("manifests", "ok", f"only jobs signed by {', '.join(pinned)} are run")
    return Finding(
        "manifests",
        "info",
        "no key is pinned: whoever may write to this board's topics may have it run jobs",
        "edgedyno agent enroll pins one; or name it in `trusted_keys:`",
    )


def _wrapped(text: str) -> str:
    """Break a finding into lines of a terminal; a path or an option stays whole."""
    import textwrap

    from edgedyno.agent.caps_table import columns_here

    return textwrap.fill(
        text, columns_here(), subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False
    )


def enroll(options: argparse.Namespace) -> int:
    """Join a controller, or renew what it has certified."""
    from edgedyno.agent.config import choose_state_dir
    from edgedyno.agent.identity_joining import join, renew

    if options.renew == (options.token is not None):
        raise ConfigError(
            "expected either TOKEN, as `edgedyno controller enroll` prints it, or --renew",
            code="enroll.usage",
        )
    config = _config(options)
    state_dir = choose_state_dir(config)
    if options.renew:
        identity = renew(state_dir)
    else:
        identity = join(state_dir, _token(options.token), board=config.board, hostname=config.board_id)
    if options.json:
        sys.stdout.write(_pretty(identity))
    sys.stderr.write(
        f"this board is {identity.board!r} of {identity.controller_url}; its broker is "
        f"{identity.broker_host}:{identity.broker_port}. An agent that runs takes a new identity when it is "
        "started again, a renewed certificate by itself.\n"
    )
    return 0


def _token(text: str) -> str:
    """Read a token that stands in a file or comes on stdin, where other users do not see it."""
    if text == "-":
        return sys.stdin.readline()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{text[1:]}: cannot be read: {error}", code="enroll.file") from error


def _pretty(value: object) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
