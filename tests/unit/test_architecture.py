"""The shape of the code: who may import whom, what the pure core may not touch, and that modules say what they are."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("schemas", "providers", "gateway")
MAY_IMPORT = {"schemas": {"schemas"}, "providers": {"schemas", "providers"}, "gateway": set(OURS)}
MODULES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))
PURE = {"gateway/lifecycle.py", "gateway/routing.py", *(str(p.relative_to(ROOT)) for p in (ROOT / "schemas").rglob("*.py"))}
IMPURE_MODULES = {"time", "asyncio", "random", "secrets", "os", "socket", "aiohttp", "asyncpg", "uuid", "uuid_utils", "pathlib"}
SHARED_WITH_SANDBOX = {"schemas", "providers"}  # no sandbox may use them


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_flow_one_way(path):
    allowed = MAY_IMPORT[path.relative_to(ROOT).parts[0]]
    for imported in imports_of(path):
        top = imported.split(".")[0]
        assert top not in OURS or top in allowed, f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "providers")], ids=name_of)
def test_no_provider_imports_another(path):
    parts = path.relative_to(ROOT / "providers").parts
    if len(parts) < 2 or parts[0] == "sandbox":
        return
    folders = {p.name for p in (ROOT / "providers").iterdir() if p.is_dir()} - {parts[0], "sandbox"}
    for imported in imports_of(path):
        pieces = imported.split(".")
        assert pieces[0] != "providers" or len(pieces) < 2 or pieces[1] not in folders, f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "sandbox.py" or "/sandbox/" in name_of(p)], ids=name_of)
def test_a_sandbox_shares_no_code_with_its_connector(path):
    for imported in imports_of(path):
        pieces = imported.split(".")
        if pieces[0] not in SHARED_WITH_SANDBOX:
            continue
        is_sandbox = pieces[:2] == ["providers", "sandbox"] or "sandbox" in pieces[2:]
        assert is_sandbox, f"{name_of(path)} imports {imported}: a witness must not copy what it witnesses"


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_core_is_pure(name):
    tree = ast.parse((ROOT / name).read_text())
    assert not [n for n in ast.walk(tree) if isinstance(n, (ast.Await, ast.AsyncFunctionDef))], "no await in the core"
    for imported in imports_of(ROOT / name):
        assert imported.split(".")[0] not in IMPURE_MODULES, f"{name} imports {imported}"
    calls = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not calls & {"now", "utcnow", "today"}, "no clock in the core"


def test_only_apply_moves_a_payout():
    """One function in the whole program moves a payout: nobody else may call the writer of changes."""
    users = {name_of(p) for p in MODULES if any(i.endswith("record_changes") for i in imports_of(p))}
    assert users == {"gateway/apply.py"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_does(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{name_of(path)} does not open with what it does and what it never does"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_what_a_file_holds(path):
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def test_files_are_small_enough_to_read_in_one_sitting():
    long = {name_of(p): n for p in MODULES if (n := len(p.read_text().splitlines())) > 600}
    assert not long
