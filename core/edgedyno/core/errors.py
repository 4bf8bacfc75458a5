"""Errors of all parts: one base with a stable code; a subclass for each thing the caller can do about it."""

from __future__ import annotations


class EdgedynoError(Exception):
    """Base of every error that is meant to be read by a user; `code` is stable, `exit_code` is the CLI's."""

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ConfigError(EdgedynoError):
    """What the user wrote cannot be used: mend the named place and try again."""

    code = "config"
    exit_code = 2


class UnsupportedError(EdgedynoError):
    """What was asked for is well formed, but this board, build or file cannot do it."""

    code = "unsupported"
    exit_code = 2


class RetryableError(EdgedynoError):
    """Something out of reach may come back: the same call can succeed later."""

    code = "unreachable"
    exit_code = 3


class RunError(EdgedynoError):
    """A run, build or trial was started and failed."""

    code = "run-failed"
    exit_code = 1
