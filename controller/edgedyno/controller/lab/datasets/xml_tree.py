"""XML as a tree that knows its lines. Entities and document types are refused: labels need none."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat

from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.text import CODE, read_bytes
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_DEPTH = 50


class Element:
    """One element: its tag, line, text and children."""

    __slots__ = ("children", "line", "tag", "text")

    def __init__(self, tag: str, line: int) -> None:
        self.tag = tag
        self.line = line
        self.text = ""
        self.children: list[Element] = []

    def find(self, *tags: str) -> Element | None:
        """Return the first element along a path of tags."""
        found: Element | None = self
        for tag in tags:
            found = next((child for child in found.children if child.tag == tag), None) if found else None
        return found

    def value(self, *tags: str) -> str | None:
        """Return the text of the first element along a path of tags, without space around it."""
        found = self.find(*tags)
        return found.text.strip() if found else None


class _Refused(Exception):  # noqa: N818 - never leaves this module
    pass


class _Builder:
    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self.open = [Element("", 0)]

    def start(self, tag: str, _: object) -> None:
        if len(self.open) > MAX_DEPTH:
            raise _Refused("is nested too deeply")
        element = Element(tag, self._parser.CurrentLineNumber)
        self.open[-1].children.append(element)
        self.open.append(element)

    def end(self, _: str) -> None:
        self.open.pop()

    def text(self, data: str) -> None:
        self.open[-1].text += data

    def refuse(self, *_: object) -> None:
        raise _Refused("declares a document type or entities")


def read_xml(path: Path) -> Element:
    """Return the root element of a file. Raises ConfigError for what is not XML, or not plain XML."""
    data = read_bytes(path)
    parser = expat.ParserCreate()
    builder = _Builder(parser)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat takes it by position
    except expat.ExpatError as error:
        raise ConfigError(
            f"{shown(str(path))}:{error.lineno}: not XML: {expat.ErrorString(error.code)}", code=CODE
        ) from error
    except (_Refused, LookupError, ValueError) as error:  # the latter two: an encoding that Python has not
        raise ConfigError(f"{shown(str(path))}: {error}, expected plain XML labels", code=CODE) from error
    return builder.open[0].children[0]
