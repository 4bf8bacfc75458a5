"""Why a request is refused before, or while, its handler looks at it."""

from __future__ import annotations

from edgedyno.core.errors import EdgedynoError


class TooLargeError(EdgedynoError):
    """A body, or what stands before it, is larger than the controller takes."""

    code = "request.too-large"


class RateError(EdgedynoError):
    """Too many requests; `wait_seconds` until the next one is answered."""

    code = "request.rate"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(f"too many requests; the next is answered in {wait_seconds:.1f} s")
        self.wait_seconds = wait_seconds


class SlowBodyError(EdgedynoError):
    """A body does not come."""

    code = "request.slow"


class AccessError(EdgedynoError):
    """The caller did not show who it is (401), or may not do this (403)."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message, code=code)
        self.status = status
