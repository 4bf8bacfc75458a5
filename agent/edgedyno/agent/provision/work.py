"""What goes along while an environment is made: its log, the progress line, and whether to stop."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.provision.progress import Progress


class Stop:
    """Whether a signal asked to stop. Its handler only notes that: an exception of its own could get lost."""

    def __init__(self) -> None:
        self._asked = False

    def check(self) -> None:
        """Raise KeyboardInterrupt once it is asked."""
        if self._asked:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C, a service manager's stop and a terminal that closes; what is ignored stays ignored."""

        def ask(_number: int, _frame: object) -> None:
            self._asked = True

        before = {
            number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, ask)
        try:
            yield
            self.check()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Work(NamedTuple):
    """Of one environment."""

    log: BinaryIO
    progress: Progress
    stop: Stop
