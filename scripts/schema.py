"""Write docs/schema/*.schema.json from the types, or with --check fail when they differ."""

from __future__ import annotations

import sys
from pathlib import Path

from edgedyno.core.schema import SCHEMAS, schema_text

FOLDER = Path(__file__).parent.parent / "docs" / "schema"


def main() -> int:
    """Return 1 when --check finds a schema that is not current."""
    check = "--check" in sys.argv
    stale = []
    for name in SCHEMAS:
        path, text = FOLDER / f"{name}.schema.json", schema_text(name)
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if not check:
                path.write_text(text)
    state = "differ: run ./scripts/schema" if check else "written"
    print("schemas:", f"{', '.join(stale)} {state}" if stale else "current")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
