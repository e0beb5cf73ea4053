"""`payout-gateway provider new`: its folder is clean code that fails the contract suite with sentences that help.

Each test works in a copy of the project: nothing is ever written into the checkout.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.new_provider import FILES, NewProviderError, write_provider
from tests.providers.filling_in import fill_in

NAME = "acme"
ROOT = Path(__file__).parents[2]
COPIED = ("schemas", "providers", "gateway", "tests", "pyproject.toml")
LONGEST = "zz_a_very_long_name_1234"
SUITE = f"tests/providers/test_{NAME}.py"
# What the first failures must say, in the words of the suite and of the template.
SAID_BY_THE_SUITE = (
    'providers/registry.py: import acme and add "acme": acme.PROVIDER',
    "providers/acme/contract.py: `destinations` is empty",
    "providers/acme/tables.py: the table 'payout status' is empty",
    "`refusals` of this test is empty",
    "`status_words` of this test is empty",
    "README.md of the provider: say what was taken from where",
    "providers/sandbox/server.py: import the sandbox of this provider",
    "tests/sandboxes/desks.py: import the desk of this provider",
)
# A small provider that was made up: what a newcomer writes over the unfinished places.
FILLED_IN = {
    "contract": "providers/acme/contract.py",
    "tables": "providers/acme/tables.py",
    "connector": "providers/acme/connector.py",
    "facts": "providers/acme/sandbox/facts.py",
    "operations": "providers/acme/sandbox/operations.py",
    "desk": "tests/sandboxes/desk_acme.py",
    "test": SUITE,
}
LINES = (
    ("providers/acme/README.md", "UNFINISHED: ", ""),
    ("providers/registry.py", "from providers import ", "from providers import acme, "),
    ("providers/registry.py", "] = {\n", '] = {\n    "acme": acme.PROVIDER,\n'),
    (
        "providers/sandbox/server.py",
        "\nfrom providers.mollie",
        "\nfrom providers.acme.sandbox import AcmeSandbox\nfrom providers.mollie",
    ),
    ("providers/sandbox/server.py", "type[Sandbox[Any]]] = {\n", 'type[Sandbox[Any]]] = {\n    "acme": AcmeSandbox,\n'),
    ("tests/sandboxes/desks.py", "import Desk\n", "import Desk\nfrom tests.sandboxes.desk_acme import AcmeDesk\n"),
    ("tests/sandboxes/desks.py", "type[Desk]] = {\n", 'type[Desk]] = {\n    "acme": AcmeDesk,\n'),
)
# What every sandbox is put through that has a desk.
ACME_SCENARIOS = 22
PLAYED = ("scenarios", "answer_faults", "webhook_faults", "repeats", "rate_limits", "seed", "faults")
WHOLE = "test_architecture or test_independence or test_seed"  # what is about all modules and providers together
OF_A_PROVIDER = 300  # tests of the suite, of its modules and of its sandbox


@pytest.fixture
def checkout(tmp_path):
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)  # with what is compiled already, which is found by the times of the files
    return tmp_path


def run(checkout, *words):
    """(exit status, everything it said) of a Python module in the copy."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "PYTEST_", "PYTHON"))}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def sentences(path):
    """What the raising functions of a file say, one sentence each."""
    return [
        node.exc.args[0].value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.func.id == "NotImplementedError"
    ]


def test_a_new_provider_is_clean_code_and_fails_with_help(checkout):
    status, said = run(checkout, "gateway.cli", "provider", "new", NAME)
    assert status == 0, said
    written = [target.replace("@name@", NAME) for target in FILES.values()]
    places = ["providers/registry.py", *written, "providers/sandbox/server.py", "tests.unit.test_readme_tables", SUITE]
    assert [place for place in places if place not in said] == []
    assert run(checkout, "gateway.cli", "provider", "new", LONGEST, "--into", str(checkout))[0] == 0

    for name in (NAME, LONGEST):
        made = (f"providers/{name}", f"tests/providers/test_{name}.py", f"tests/sandboxes/desk_{name}.py")
        assert run(checkout, "ruff", "check", "--no-cache", *made) == (0, "All checks passed!\n")
        status, said = run(checkout, "ruff", "format", "--check", "--no-cache", *made)
        assert status == 0, said
    known = ROOT / ".mypy_cache"  # from `make test`, which checks types before: that takes it seconds off here
    if known.is_dir():
        shutil.copytree(known, checkout / known.name)
    status, said = run(checkout, "mypy", "-p", f"providers.{NAME}", "-p", f"providers.{LONGEST}")
    assert status == 0, said

    # Hundreds fail, a line each; every kind of answer that is misread has nothing more to say.
    status, said = run(checkout, "pytest", SUITE, "-k", "not (http or json or html)", "-p", "no:xdist", "--tb=line")
    assert status == 1, said
    missing = [sentence for sentence in SAID_BY_THE_SUITE if sentence not in said]
    assert missing == [], said
    # From outside inwards: the test's own shapes come first, the connector's are asked for once those are there.
    assert all(sentence in said for sentence in sentences(checkout / SUITE) if "`found`" not in sentence)


@pytest.fixture
def acme(checkout):
    """A checkout with the provider written and registered."""
    assert run(checkout, "gateway.cli", "provider", "new", NAME)[0] == 0
    for name, place in FILLED_IN.items():
        fill_in(checkout / place, ROOT / "tests/providers/filled_in" / f"{name}.py.txt")
    for place, old, new in LINES:
        text = (checkout / place).read_text()
        assert text.count(old) == 1, (place, old)
        (checkout / place).write_text(text.replace(old, new))
    return checkout


def test_filled_in_it_keeps_the_whole_contract_and_its_sandbox_plays_everything(acme):
    """What the template brings along is right: with a provider's own facts in it, all is green."""
    shape = ("tests/unit/test_architecture.py", "tests/sandboxes/test_independence.py")
    played = [f"tests/sandboxes/test_{name}.py" for name in PLAYED]
    status, said = run(
        acme, "pytest", SUITE, *shape, *played, "-k", f"{NAME} or {WHOLE}", "-p", "no:xdist", "--tb=short", "-rp"
    )
    assert status == 0, said
    ran = re.findall(r"^PASSED ([^:\s]+)::(.+)$", said, re.MULTILINE)
    assert {file for file, _ in ran} == {SUITE, *shape, *played}
    assert sum("test_a_scenario_chosen_by_the_amount[" in name for _, name in ran) == ACME_SCENARIOS
    assert sum(NAME in f"{file} {name}" for file, name in ran) > OF_A_PROVIDER


@pytest.mark.parametrize(
    "name", ["", "a", "Acme", "1st", "a-b", "a.b", "a/b", "../x", "a__b", "a_", "_a", "class", "é" * 3, "x" * 25, "a\n"]
)
def test_names_that_cannot_be(name, tmp_path):
    with pytest.raises(NewProviderError, match="Nothing was written"):
        write_provider(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mollie", "sandbox", "template", "words"])
def test_names_that_are_taken(name):
    with pytest.raises(NewProviderError, match=f"providers/{name}.* is there already"):
        write_provider(name, ROOT)


def test_only_into_a_checkout(tmp_path):
    with pytest.raises(NewProviderError, match=r"no checkout of the gateway \(no providers/registry.py\)"):
        write_provider(NAME, tmp_path)
    assert list(tmp_path.iterdir()) == []
