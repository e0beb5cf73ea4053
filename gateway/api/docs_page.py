"""The page for people: all that the API's description says, as one plain page without scripts, rendered once."""

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

from gateway.api.error_codes import ERROR_CODES
from gateway.api.openapi import DESCRIPTION, describe
from schemas.text import PRINTABLE

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
code, pre { font: .88em/1.5 ui-monospace, monospace; }
pre { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; overflow-x: auto; }
details { border-top: 1px solid var(--line); padding: .55rem 0; } summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.2rem; font: 600 .82em ui-monospace, monospace; }
summary span { opacity: .75; margin-left: .6rem; } table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td:nth-child(1) { white-space: nowrap; }
"""

# What the description says of a value beside its type, in words.
_LIMITS = {
    "format": "{}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "{} or more characters",
    "maxLength": "up to {} characters",
    "minItems": "{} or more entries",
    "maxItems": "up to {} entries",
    "minProperties": "{} or more entries",
    "maxProperties": "up to {} entries",
    "pattern": "matches {}",
}
_PATTERNS = {PRINTABLE: "not blank, no line breaks and nothing else that does not show"}


def _schema_of(content: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _link(reference: str) -> str:
    name = escape(_name(reference))
    return f"<a href='#{name}'>{name}</a>"


def _values(values: list[Any]) -> str:
    return " ".join(f"<code>{escape(str(value))}</code>" for value in values)


def _kind(schema: dict[str, Any]) -> str:
    """The type of a value and its limits; those of what it holds behind its own."""
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(option) for option in schema[several])
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "const" in schema:
        return _values([schema["const"]])
    kind = escape(str(schema.get("type", "any")))
    if "enum" in schema:
        kind = f"one of {_values(schema['enum'])}"
    said = [_PATTERNS.get(schema[name], words.format(schema[name])) for name, words in _LIMITS.items() if name in schema]
    limits = escape(", ".join(said))
    kind = f"{kind} ({limits})" if limits else kind
    if "items" in schema:
        kind = f"{kind} of {_kind(schema['items'])}"
    for pattern, held in schema.get("patternProperties", {}).items():
        kind = f"{kind}, each key like <code>{escape(pattern)}</code>: {_kind(held)}"
    held = schema.get("additionalProperties")
    return f"{kind} of {_kind(held)}" if isinstance(held, dict) else kind


def _row(name: str, schema: dict[str, Any], *, required: bool, where: str = "") -> str:
    default = schema.get("default")
    unless = f"else <code>{escape(json.dumps(default))}</code>" if isinstance(default, (str, int)) else "optional"
    place = f" in the {where}" if where else ""
    said = escape(str(schema.get("description", "")))
    return (
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(schema)}</td><td>{'required' if required else unless}{place}</td>"
        f"<td>{said}</td></tr>"
    )


def _table(rows: list[str]) -> str:
    return f"<table><tr><th>Field</th><th>Type and limits</th><th></th><th></th></tr>{''.join(rows)}</table>" if rows else ""


def _fields(schema: dict[str, Any]) -> str:
    """What a schema holds: its fields, or its values when it is a list of words."""
    if "properties" not in schema:
        return f"<p>{_kind(schema)}</p>"
    required = schema.get("required", ())
    return _table([_row(name, field, required=name in required) for name, field in schema["properties"].items()])


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parameters = _table([_row(p["name"], p["schema"], required=p["required"], where=p["in"]) for p in operation["parameters"]])
    taken = operation.get("requestBody", {}).get("content")
    answered = next(iter(operation["responses"].values())).get("content")
    body = _schema_of(taken)["$ref"] if taken else None
    answer = _kind(_schema_of(answered)["properties"]["data"]) if answered else None
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code>"
        f"<span>{escape(operation['summary'])}</span></summary>{parameters}"
        f"{f'<p>Takes {_link(body)}:</p>{_fields(schemas[_name(body)])}' if body else ''}"
        f"{f'<p>Answers {answer}.</p>' if answer else ''}</details>"
    )


def _schemas(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        said = escape(schema.get("description", ""))
        yield (
            f"<details><summary><code id='{escape(name)}'>{escape(name)}</code><span>{said}</span></summary>"
            f"{_fields(schema)}</details>"
        )


@cache
def page() -> str:
    """The whole page."""
    described = describe()
    schemas = described["components"]["schemas"]
    operations = "".join(
        _operation(method, path, operation, schemas)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    )
    codes = "".join(f"<tr><td><code>{code}</code></td><td>{escape(when)}</td></tr>" for code, when in ERROR_CODES.items())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Payout gateway API</title><style>{_STYLE}</style><h1>Payout gateway API</h1><p>{escape(DESCRIPTION)}</p>"
        f"<p>The same for machines: <a href=/openapi.json>/openapi.json</a></p>"
        f"<h2>Operations</h2>{operations}<h2>What they take and answer</h2>{''.join(_schemas(schemas))}"
        f"<h2>Error codes</h2><table>{codes}</table></html>"
    )
