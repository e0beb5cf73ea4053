"""The list of error codes is the one that the handlers use: none is missing, and none is left over."""

import ast
from pathlib import Path

from gateway.api import edge, payouts, route_choice
from gateway.api.docs_page import page
from gateway.api.error_codes import ERROR_CODES
from gateway.api.openapi import describe
from schemas.payout import Status

API = Path(__file__).parents[2] / "gateway" / "api"


def raised():
    """The codes that stand in a call of ApiError, and those of the tables that others are taken from."""
    codes = {code for code, _ in edge._HTTP_CODES.values()} | {code for code, _ in route_choice._NO_ROUTE.values()}
    codes |= {code for _, code, _, _ in payouts._REFUSALS.values()} | {"request_refused"}
    for file in API.glob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if not isinstance(call, ast.Call):
                continue
            given = [word.value for word in call.keywords if word.arg == "code"]
            if isinstance(call.func, ast.Name) and call.func.id == "ApiError":
                given.append(call.args[1])
            for value in given:
                codes |= {n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return codes


def test_every_code_is_listed_and_nothing_else():
    assert set(ERROR_CODES) == raised()


def test_the_description_and_its_page_show_them():
    described = describe()["components"]["schemas"]["ErrorBody"]["properties"]["code"]
    assert described["x-extensible-enum"] == list(ERROR_CODES)
    shown = page()
    assert [code for code in ERROR_CODES if f"<code>{code}</code>" not in shown] == []


def test_parameters_are_described_with_what_they_may_be():
    listing = describe()["paths"]["/api/v1/payouts"]["get"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in listing["parameters"]}
    assert schemas["limit"] == {"type": "integer", "minimum": 1, "maximum": 100}
    assert set(schemas["status"]["enum"]) == set(Status)
    assert "default" in listing["responses"]
