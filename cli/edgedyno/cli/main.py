"""Entry point of `edgedyno`: dispatches, and alone prints errors and chooses the exit code."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from edgedyno.core.errors import EdgedynoError

    arguments = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(arguments)
    except EdgedynoError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the one place that prints errors
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return _leave_pipe()
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)  # noqa: T201 - as above
        return 1


def _leave_pipe() -> int:
    # The reader went away (`| head`); Python's exit would complain about the same pipe again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["agent"]:
        from edgedyno.agent.main import main as agent_main

        return agent_main(arguments[1:])
    try:
        import typer  # noqa: F401 - boards install the agent alone
    except ImportError:
        return _without_controller()
    from edgedyno.cli.app import run_app

    return run_app(arguments)


def _without_controller() -> int:
    from edgedyno.core.errors import UnsupportedError

    raise UnsupportedError(
        "this installation has the agent only (`edgedyno agent --help`); "
        "the operator's commands come with: pip install 'edgedyno[controller]'",
        code="cli.no-controller",
    )


if __name__ == "__main__":
    sys.exit(main())
