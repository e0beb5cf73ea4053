"""A sandbox is a witness only as long as it shares nothing with the connector it watches."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {"aiohttp", "multidict", "orjson", "pydantic", *sys.stdlib_module_names}
FILES = sorted([*ROOT.glob("providers/*/sandbox/**/*.py"), *ROOT.glob("providers/sandbox/**/*.py")])


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            found.add(f"{node.module}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_nothing_of_connector_or_gateway(path: Path) -> None:
    own = f"providers.{path.relative_to(ROOT).parts[1]}.sandbox"
    for name in _imports(path):
        ours = any(name == package or name.startswith(f"{package}.") for package in ("providers.sandbox", own))
        registered = path.name == "server.py" and name.startswith("providers.") and name.endswith(".sandbox")
        assert ours or registered or name.split(".")[0] in ALLOWED, name
