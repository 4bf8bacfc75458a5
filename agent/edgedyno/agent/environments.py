"""Which runtimes there are, in which interpreters, and whether each really works.

Runs no runtime in this process. Plugins are named by entry points and resolved
to a module and an attribute without importing them; only a worker in the environment's own interpreter
loads one.
"""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edgedyno.agent.provision.catalogue import how_to_add, modules_of
from edgedyno.agent.survey import Survey, SurveyError, find_modules
from edgedyno.agent.worker.process import Plugin, WorkerError, WorkerProcess
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.run import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUP = "edgedyno.runtimes"
PROBE_SECONDS = 60.0  # TVM and TensorRT take seconds to import on a small board; a hung import never ends
NAMED_MOST = 3
_OWN = "edgedyno.agent."
_ONNXRUNTIME = "onnxruntime"
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
    """Run a real tiny model in a child for each runtime that is there in each environment.

    What fails says why. A runtime that is nowhere comes once, with what it takes to have it.
    """
    plugins = find_plugins()
    found: list[RuntimeInfo] = []
    named = [environment.name for environment in environments or default_environments()]
    architecture = platform.machine()
    for environment in environments or default_environments():
        wanted = [each for each in plugins if not environment.runtimes or each.name in environment.runtimes]
        try:
            survey = _survey(environment.python, wanted)
        except SurveyError as error:
            _log.info("environment %s cannot be surveyed: %s", environment.name, error)
            found += [_unavailable(plugin, environment, str(error)) for plugin in wanted]
            continue
        found += _probe_each(environment, [plugin for plugin in wanted if _is_there(plugin, survey)])
        architecture = survey.architecture
    seen = {info.name for info in found}
    return found + [_nowhere(plugin, named, architecture) for plugin in plugins if plugin.name not in seen]


def _survey(python: str, plugins: Sequence[Plugin]) -> Survey:
    names = {module for plugin in plugins for modules in modules_of(plugin.name) for module in modules}
    return find_modules(python, sorted(names))


def _is_there(plugin: Plugin, survey: Survey) -> bool:
    """Tell whether a probe is worth its child; of a plugin from elsewhere only its probe can tell."""
    choices = modules_of(plugin.name)
    return not choices or any(survey.missing.keys().isdisjoint(modules) for modules in choices)


def _unavailable(plugin: Plugin, environment: Environment, reason: str) -> RuntimeInfo:
    return RuntimeInfo(plugin.name, None, available=False, reason=reason, environment=environment.name)


def _nowhere(plugin: Plugin, named: Sequence[str], architecture: str) -> RuntimeInfo:
    where = " or ".join(named) if len(named) <= NAMED_MOST else f"any of {len(named)} environments"
    reason = f"not installed in {where}; {how_to_add(plugin.name, architecture)}"
    return RuntimeInfo(plugin.name, None, available=False, reason=reason, environment="")


def _probe_each(environment: Environment, plugins: Sequence[Plugin]) -> list[RuntimeInfo]:
    """Probe each, but for execution providers that the environment's own onnxruntime says it was built without."""
    found: dict[str, RuntimeInfo] = {}
    for plugin in plugins:  # by name, so that onnxruntime comes before its providers
        found[plugin.name] = _lacking_provider(plugin, found.get(_ONNXRUNTIME)) or _probe(environment, plugin)
    return list(found.values())


def _lacking_provider(plugin: Plugin, onnxruntime: RuntimeInfo | None) -> RuntimeInfo | None:
    """Say without a child that a provider is not in the build; None where only its own probe can tell.

    A provider's plugin is named for it: `onnxruntime-cuda` for CUDAExecutionProvider.
    """
    listed = onnxruntime.details.get("providers", "") if onnxruntime else ""
    if onnxruntime is None or not listed or not plugin.name.startswith(f"{_ONNXRUNTIME}-"):
        return None
    wanted = plugin.name.removeprefix(f"{_ONNXRUNTIME}-").upper()
    names = [name.removesuffix("ExecutionProvider") for name in listed.split(",")]
    if wanted in map(str.upper, names):
        return None
    reason = f"this build of onnxruntime has no {wanted} provider, only {', '.join(names)}"
    return replace(onnxruntime, name=plugin.name, available=False, reason=reason, formats=[])


def _probe(environment: Environment, plugin: Plugin) -> RuntimeInfo:
    try:
        found = _ask(environment.python, plugin)
    except WorkerError as error:
        _log.info("runtime %s in %s cannot be probed: %s", plugin.name, environment.name, error)
        return _unavailable(plugin, environment, str(error))
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
