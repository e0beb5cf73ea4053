"""A folder for a new provider, from the template: connector, sandbox and test, which fail until they are filled in.

Only writes where nothing is yet. Never registers anything: that stays a line that a person writes.
"""

import keyword
import re
from importlib.resources import files
from itertools import chain, groupby
from pathlib import Path

# What lies in `providers/template`, and where it goes.
FILES: dict[str, str] = {
    "__init__.py.txt": "providers/@name@/__init__.py",
    "contract.py.txt": "providers/@name@/contract.py",
    "settings.py.txt": "providers/@name@/settings.py",
    "tables.py.txt": "providers/@name@/tables.py",
    "connector.py.txt": "providers/@name@/connector.py",
    "README.md.txt": "providers/@name@/README.md",
    "sandbox/__init__.py.txt": "providers/@name@/sandbox/__init__.py",
    "sandbox/facts.py.txt": "providers/@name@/sandbox/facts.py",
    "sandbox/operations.py.txt": "providers/@name@/sandbox/operations.py",
    "desk.py.txt": "tests/sandboxes/desk_@name@.py",
    "test.py.txt": "tests/providers/test_@name@.py",
}
# What must be there before: without it this is no checkout of the project, and the test would find no suite.
NEEDED = ("providers/registry.py", "tests/providers/contract_suite.py", "tests/sandboxes/desk.py")

# It becomes a folder, a module, a word in addresses and the beginning of class names.
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MIN_LENGTH, MAX_LENGTH = 2, 24  # lines of the template stay inside the line limit with names of this length

# What to do then, in this order: where, and what belongs there.
STEPS: tuple[tuple[str, str], ...] = (
    ("providers/registry.py", "import it and give it its line"),
    ("providers/@name@/contract.py", "destinations, currencies, times: what the gateway may rely on"),
    ("providers/@name@/settings.py", "what a connection needs; every assumed fact is a setting with a default"),
    ("providers/@name@/tables.py", "status words and error codes, each with its source"),
    ("providers/@name@/connector.py", "the functions at the end, which raise until they are written"),
    ("tests/providers/test_@name@.py", "what the provider's answers and webhooks look like"),
    ("providers/@name@/sandbox/facts.py", "what becomes of a payout in each named scenario"),
    ("providers/@name@/sandbox/operations.py", "the methods at the end, which raise until they are written"),
    ("providers/sandbox/server.py", "import it and give it its line in SANDBOXES"),
    ("tests/sandboxes/desk_@name@.py", "a merchant there, and its line in desks.py: then tests/sandboxes -k @name@"),
    ("providers/sandbox/README.md", "its column in the table of scenarios, and what its merchants and settings take"),
    ("providers/@name@/README.md", "what was taken from where, what was assumed"),
    ("README.md", "renew the table of contracts: .venv/bin/python -m tests.unit.test_readme_tables"),
)
RUN = """After each step run .venv/bin/python -m pytest -x tests/providers/test_@name@.py
Its first failure says what is missing, and in which file it belongs. When all is green, the connector keeps its contract."""


class NewProviderError(ValueError):
    """The provider cannot be made like this; the message says why. Nothing was written."""


def write_provider(name: str, root: Path) -> list[Path]:
    """Write the files of a new provider into the checkout at `root`, and say which."""
    _check_name(name)
    if missing := [path for path in NEEDED if not (root / path).is_file()]:
        raise NewProviderError(f"{root.resolve()} is no checkout of the gateway (no {missing[0]}). Nothing was written.")
    targets = {source: root / filled(target, name) for source, target in FILES.items()}
    taken = [path for path in (root / "providers" / name, root / f"providers/{name}.py", *targets.values()) if path.exists()]
    if taken:
        raise NewProviderError(f"{taken[0].relative_to(root)} is there already. Nothing was written; take another name.")
    template = files("providers") / "template"
    texts = {targets[source]: filled(template.joinpath(source).read_text(encoding="utf-8"), name) for source in FILES}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def next_steps(name: str) -> str:
    """What a person does then, for people."""
    width = max(len(filled(place, name)) for place, _ in STEPS)
    lines = [f"{n:>2}. {filled(place, name):<{width}}  {filled(what, name)}" for n, (place, what) in enumerate(STEPS, 1)]
    return "\n".join(["What to do now, in this order:", "", *lines, "", filled(RUN, name)])


def filled(text: str, name: str) -> str:
    """The template's text for this provider, its imports in order again."""
    text = text.replace("@name@", name).replace("@Name@", "".join(part.capitalize() for part in name.split("_")))
    blocks = groupby(text.split("\n"), lambda line: line.startswith("from "))
    # Where the name goes among the imports depends on the name.
    ordered = (sorted(block, key=lambda line: line.split()[1]) if is_import else block for is_import, block in blocks)
    return "\n".join(chain.from_iterable(ordered))


def _check_name(name: str) -> None:
    if not MIN_LENGTH <= len(name) <= MAX_LENGTH or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise NewProviderError(
            f"{name!r} cannot be a provider's name: {MIN_LENGTH} to {MAX_LENGTH} small letters, digits and single underscores, "
            "a letter first, and no word of Python. Nothing was written."
        )
