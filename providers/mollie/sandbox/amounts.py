"""Amounts of two decimals, as Mollie writes them, and as whole cents, as the sandbox counts them.

Exact in both directions. Never rounds, and never judges whether an amount may be paid.
"""

from typing import Any

from providers.mollie.sandbox.facts import AMOUNT


def minor_of(value: Any) -> int | None:
    found = AMOUNT.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) * 100 + int(found[2]) if found else None


def decimal_text(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def amount_body(currency: str, minor: int) -> dict[str, str]:
    return {"currency": currency, "value": decimal_text(minor)}
