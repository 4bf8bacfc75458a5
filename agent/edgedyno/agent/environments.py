"""Which runtimes there are, in which interpreters, and whether each really works.

The daemon imports this: standard library and msgspec only. Plugins are named by entry points and resolved
to a module and an attribute without importing them; only a worker in the environment's own interpreter
loads one.
"""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedyno.agent.worker.process import Plugin, WorkerError, WorkerProcess
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.run import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUP = "edgedyno.runtimes"
PROBE_SECONDS = 60.0  # TVM and TensorRT take seconds to import on a small board; a hung import never ends
_OWN = "edgedyno.agent."
_log = logging.getLogger(__name__)


def default_environments() -> list[Environment]:
    """Return the interpreter that runs this program as the only environment."""
    return [Environment("default", sys.executable)]


def find_plugins() -> list[Plugin]:
    """Return every runtime plugin that is installed beside the agent, by name."""
    found = {
        entry.name: Plugin(entry.name, entry.module, entry.attr, _file_of(entry))
        for entry in importlib.metadata.entry_points(group=GROUP)
    }
    return [found[name] for name in sorted(found)]


def _file_of(entry: importlib.metadata.EntryPoint) -> str | None:
    """Return the file of a plugin from elsewhere: a foreign interpreter could not import it by name."""
    if entry.module.startswith(_OWN) or entry.dist is None:
        return None
    stem = entry.module.replace(".", "/")
    for name in (f"{stem}.py", f"{stem}/__init__.py"):
        path = Path(str(entry.dist.locate_file(name)))
        if path.is_file():
            return str(path)
    return None


def probe_all(environments: Sequence[Environment] | None = None) -> list[RuntimeInfo]:
    """Run a real tiny model in a child for each runtime in each environment; what fails says why."""
    plugins = find_plugins()
    return [
        _probe(environment, plugin)
        for environment in environments or default_environments()
        for plugin in plugins
    ]


def _probe(environment: Environment, plugin: Plugin) -> RuntimeInfo:
    try:
        found = _ask(environment.python, plugin)
    except WorkerError as error:
        _log.info("runtime %s in %s cannot be probed: %s", plugin.name, environment.name, error)
        return RuntimeInfo(
            plugin.name, None, available=False, reason=str(error), environment=environment.name
        )
    return RuntimeInfo(
        name=plugin.name,
        version=found["version"],
        available=found["available"],
        reason=found["reason"],
        environment=environment.name,
        formats=list(found["formats"]),
        details=found["details"] or {},
    )


def _ask(python: str, plugin: Plugin) -> dict[str, Any]:
    with tempfile.TemporaryFile() as log:
        worker = WorkerProcess(python, log)
        try:
            worker.ask("start", PROBE_SECONDS, plugin=plugin._asdict())
            return worker.ask("probe", PROBE_SECONDS)["probe"]  # type: ignore[no-any-return]
        finally:
            worker.close()
