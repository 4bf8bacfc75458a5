"""Which of the agent's files a model's process is kept from: its key, its token, its results, its journal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.folders import ARTIFACTS, ENVIRONMENTS, WORK
from edgedyno.core.run import Fence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.config import AgentConfig
    from edgedyno.core.broker import Broker


def fence_of(config: AgentConfig, state_dir: Path) -> Fence:
    """Return the fence for the workers of an agent."""
    prefixes = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        *(Path(each.python).parent.parent for each in config.runtimes),
    }
    return Fence(
        hidden=[str(state_dir), *sorted(_secret_files(config))],
        read_only=[
            *(str(state_dir / name) for name in (ARTIFACTS, ENVIRONMENTS)),
            *sorted(str(prefix) for prefix in prefixes if prefix.is_relative_to(state_dir)),
        ],
        opened=[str(state_dir / WORK)],
    )


def _secret_files(config: AgentConfig) -> Iterator[str]:
    if config.controller_token_file is not None:
        yield config.controller_token_file
    for broker in (config.broker, *(meter.broker for meter in config.meters)):
        yield from _secrets_of(broker)


def _secrets_of(broker: Broker | None) -> Iterator[str]:
    if broker is not None:
        if broker.password_file is not None:
            yield broker.password_file
        if broker.tls is not None and broker.tls.key_file is not None:
            yield broker.tls.key_file
