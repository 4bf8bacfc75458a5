"""Decode YAML into types; errors name file:line, path, what was found and expected, and the nearest name."""

from __future__ import annotations

import difflib
import re
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from edgedyno.core.errors import ConfigError
from edgedyno.core.units import format_quantity, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
MAX_DEPTH = 50
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


def decode_yaml(
    text: str, kind: type[T], *, file: str = "<text>", expand: Callable[[Any], Any] | None = None
) -> T:
    """Decode `text` into `kind`.

    Unknown keys are errors, and quantities such as `100 ms` become SI floats where the type has a dimension.
    `expand` may complete the plain data before it is checked. Raises ConfigError with one line for each
    mistake found.
    """
    root = _compose(text, file)
    if root is None:
        raise ConfigError(
            f"{file}:1: found an empty document, expected a {kind.__name__}", code="document.empty"
        )
    document = _Document(file)
    data = document.read(root, ())
    if expand is not None and not document.mistakes:
        data = expand(data)
    data = document.check(data, inspect.type_info(kind), ())
    if not document.mistakes:
        try:
            return msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            document.add_msgspec(error, data)
    raise ConfigError("\n".join(document.mistakes), code="document.invalid")


def read_plain(text: str, *, file: str = "<text>") -> Any:
    """Read `text` as plain data; raises ConfigError for what is not YAML."""
    root = _compose(text, file)
    document = _Document(file)
    data = None if root is None else document.read(root, ())
    if document.mistakes:
        raise ConfigError("\n".join(document.mistakes), code="document.invalid")
    return data


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            f"{file}:{line}: not YAML: {error.problem or error.context}", code="document.yaml"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}:1: not YAML: {error}", code="document.yaml") from error


Path = tuple[str | int, ...]


class _Document:
    """One document's data, where each part of it stands, and the mistakes found so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.mistakes: list[str] = []
        self._open: list[yaml.Node] = []

    def read(self, node: yaml.Node, path: Path) -> Any:
        """Turn a YAML node into plain data, noting the line of every part."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        if any(node is outer for outer in self._open) or len(self._open) > MAX_DEPTH:
            self.add(
                path, f"found nesting deeper than {MAX_DEPTH} levels or without end, expected plain data"
            )
            return None
        self._open.append(node)
        try:
            return self._read_inside(node, path)
        finally:
            self._open.pop()

    def _read_inside(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            problem = getattr(error, "problem", None) or error
            self.add(path, f"found {node.value!r}, which YAML cannot read as it stands: {problem}")
            return None

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            where = (*path, key)
            self.lines[where] = key_node.start_mark.line + 1
            if key in data:
                self.add(where, f"found the key {key!r} twice, expected it once")
            data[key] = self.read(value_node, where)
        return data

    def check(self, data: Any, kind: inspect.Type, path: Path) -> Any:
        """Report unknown and missing keys and wrong choices; convert quantities."""
        if isinstance(kind, inspect.Metadata):
            dimension = (kind.extra or {}).get("dimension")
            return self._quantity(data, kind, path) if dimension else self.check(data, kind.type, path)
        if isinstance(kind, inspect.UnionType):
            return self._union(data, kind, path)
        if isinstance(kind, inspect.StructType) and isinstance(data, dict):
            return self._struct(data, kind, path)
        if isinstance(kind, inspect.ListType) and isinstance(data, list):
            return [self.check(item, kind.item_type, (*path, index)) for index, item in enumerate(data)]
        if isinstance(kind, inspect.DictType) and isinstance(data, dict):
            return {key: self.check(item, kind.value_type, (*path, key)) for key, item in data.items()}
        if isinstance(kind, inspect.LiteralType) and data not in kind.values:
            self.add(
                path, f"found {_show(data)}, expected {_choices(kind.values)}{nearest(data, kind.values)}"
            )
        return data

    def _struct(self, data: dict[str, Any], kind: inspect.StructType, path: Path) -> dict[str, Any]:
        fields = {field.encode_name: field for field in kind.fields}
        for key in data.keys() - fields.keys():
            hint = nearest(key, fields) or f"; expected one of {', '.join(fields)}"
            self.add((*path, key), f"found the unknown key {key!r}{hint}")
        for name, field in fields.items():
            if field.required and name not in data:
                self.add(path, f"found no key {name!r}, expected one in {kind.cls.__name__}")
        return {
            key: self.check(item, fields[key].type, (*path, key)) if key in fields else item
            for key, item in data.items()
        }

    def _union(self, data: Any, kind: inspect.UnionType, path: Path) -> Any:
        for option in kind.types:
            inner = option.type if isinstance(option, inspect.Metadata) else option
            if isinstance(data, dict) and isinstance(inner, inspect.StructType):
                return self._struct(data, inner, path)
            if (
                isinstance(option, inspect.Metadata)
                and (option.extra or {}).get("dimension")
                and data is not None
            ):
                return self.check(data, option, path)
        literals = [
            value
            for option in kind.types
            if isinstance(option, inspect.LiteralType)
            for value in option.values
        ]
        if isinstance(data, str) and literals and not any(isinstance(t, inspect.StrType) for t in kind.types):
            others = " or ".join([*["a number" for t in kind.types if _is_number(t)][:1], _choices(literals)])
            if data not in literals:
                self.add(path, f"found {_show(data)}, expected {others}{nearest(data, literals)}")
        return data

    def _quantity(self, data: Any, kind: inspect.Metadata, path: Path) -> Any:
        dimension = (kind.extra or {})["dimension"]
        try:
            value = parse_quantity(data, dimension)
        except ConfigError as error:
            self.add(path, str(error))
            return data
        if not _within(value, kind.type):
            self.add(path, _beyond(data, value, kind.type, dimension))
        return value

    def add(self, path: Path, text: str) -> None:
        """Note a mistake at `path`."""
        place = path
        while place not in self.lines:
            place = place[:-1]
        self.mistakes.append(f"{self.file}:{self.lines[place]}: {_join(path)}: {text}")

    def add_msgspec(self, error: msgspec.ValidationError, data: Any) -> None:
        """Note what the type check found."""
        match = _AT.match(str(error))
        path = tuple(
            int(step[2]) if step[2] else step[1] for step in _STEP.finditer((match and match["path"]) or "")
        )
        what = (match["what"] if match else str(error)).replace("`", "")
        found, expected = _at(data, path), re.sub(r"^Expected (.*?)(, got .*)?$", r"expected \1", what)
        self.add(path, f"found {_show(found)}, {expected}")


def nearest(found: object, known: typing.Iterable[object]) -> str:
    """Return `; did you mean 'x'?` for the known name closest to `found`, or nothing."""
    close = difflib.get_close_matches(str(found), [str(name) for name in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _within(value: float, kind: inspect.Type) -> bool:
    """Return whether a number keeps to the bounds of its type."""
    if not isinstance(kind, inspect.FloatType):
        return True
    lows = (kind.gt is None or value > kind.gt) and (kind.ge is None or value >= kind.ge)
    return lows and (kind.lt is None or value < kind.lt) and (kind.le is None or value <= kind.le)


def _beyond(data: object, value: float, kind: inspect.Type, dimension: str) -> str:
    """Say which bounds a quantity broke, and what a ratio without a unit may have meant."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [
        f"{word} {format_quantity(bound, dimension)}"
        for name, word in words.items()
        if (bound := getattr(kind, name)) is not None
    ]
    bare = dimension == "ratio" and not str(data).strip().endswith(("%", "pt"))
    hint = f"; did you mean '{value:g}%'?" if bare and _within(value / 100, kind) else ""
    return f"found {_show(data)}, expected a {dimension} {' and '.join(bounds)}{hint}"


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _is_number(kind: inspect.Type) -> bool:
    inner = kind.type if isinstance(kind, inspect.Metadata) else kind
    return isinstance(inner, (inspect.IntType, inspect.FloatType))


def _choices(values: typing.Iterable[object]) -> str:
    return " or ".join(repr(value) for value in values)


def _show(data: object) -> str:
    return "nothing" if isinstance(data, types.NoneType) else repr(data)


def _join(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".") or "document"
