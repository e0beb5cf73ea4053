"""The README says what there is: every scenario, fault, control call and setting, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox.base import SandboxSettings
from providers.sandbox.control import _CALLS
from providers.sandbox.scenarios import SCENARIOS
from providers.sandbox.server import SANDBOXES
from providers.sandbox.steps import KINDS

TEXT = (Path(__file__).parents[2] / "providers/sandbox/README.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| `")]


def test_the_scenarios_table() -> None:
    rows = {cells[0].strip("`"): cells for cells in ROWS if len(cells) == 3 + len(SANDBOXES)}
    wanted = [(scenario.name, f"{scenario.number:02d}") for scenario in SCENARIOS]
    assert [(name, cells[1]) for name, cells in rows.items()] == wanted, "a column of the table for every sandbox"
    for scenario in SCENARIOS:
        for position, sandbox in enumerate(SANDBOXES.values()):
            offered = scenario.course in sandbox.courses and (sandbox.idempotency_header or not scenario.needs_key)
            assert (rows[scenario.name][3 + position] != "-") == bool(offered), (scenario.name, sandbox.name)


def test_the_faults_table() -> None:
    rows = {cells[0].strip("`"): cells for cells in ROWS if len(cells) == 4}
    assert list(rows) == list(KINDS)
    for name, kind in KINDS.items():
        assert rows[name][1].strip("`") == kind.value
        others = set() if "*" in kind.params else set(kind.params) - {kind.value}
        assert all(f"`{other}`" in rows[name][2] for other in others), name


async def test_it_is_served(world: Any) -> None:
    served = await world.call("GET", "/_sandbox/docs")
    assert served.raw.decode() == TEXT
    assert served.headers["Content-Type"].startswith("text/markdown")


@pytest.mark.parametrize("call", sorted({path.split("/")[0] for _, path, _ in _CALLS}))
def test_every_control_call_is_mentioned(call: str) -> None:
    assert re.search(rf"[ /`]{call}[ ?`/]", TEXT)


@pytest.mark.parametrize("name", SANDBOXES)
def test_every_setting_is_mentioned(name: str) -> None:
    common = set(SandboxSettings.model_fields)
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| {name}, ")]
    mentioned = {word for line in rows for word in re.findall(r"`([a-zA-Z]+)`", re.sub(r"\([^)]*\)", "", line))}
    own = {field.alias for field_name, field in SANDBOXES[name].settings_type.model_fields.items() if field_name not in common}
    assert mentioned == own
    assert all(f"`{field.alias}`" in TEXT for field in SandboxSettings.model_fields.values())
