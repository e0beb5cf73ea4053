"""Fills in an unfinished module: functions and constants of another text are written over those of the same name.

For the test of the provider template only. It looks at names and line numbers, never at what the code does.
"""

import ast
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Piece:
    """A function or constant, at the top of a module or in a class of it."""

    start: int
    end: int
    lines: list[str]


def fill_in(path: Path, filled: Path) -> None:
    """Write the filled-in pieces into the module at `path`; those that are new go to its end."""
    lines = path.read_text().split("\n")
    unfinished, written = pieces(path.read_text()), pieces(filled.read_text())
    for name, piece in sorted(unfinished.items(), key=lambda item: -item[1].start):
        if name in written:
            lines[piece.start : piece.end] = written[name].lines
    for name in written.keys() - unfinished.keys():
        lines += ["", *written[name].lines]
    first_import = next(number for number, line in enumerate(lines) if line.startswith(("from ", "import ")))
    lines[first_import:first_import] = imports(filled.read_text())
    path.write_text("\n".join([*lines, ""]))


def imports(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith(("from ", "import "))]


def pieces(text: str) -> dict[str, Piece]:
    lines = text.split("\n")
    top = ast.parse(text).body
    inner = [node for parent in top if isinstance(parent, ast.ClassDef) for node in parent.body]
    return {
        name: Piece(node.lineno - 1, node.end_lineno or node.lineno, lines[node.lineno - 1 : node.end_lineno])
        for node in [*top, *inner]
        if (name := name_of(node))
    }


def name_of(node: ast.stmt) -> str | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    return target.id if isinstance(target, ast.Name) else None
