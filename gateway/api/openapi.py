"""The API's description, generated from the schemas and from the one table of routes."""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.api.error_codes import ERROR_CODES
from gateway.api.operations import OPERATIONS, Operation
from schemas.answers import Envelope, ErrorBody, Meta
from schemas.payout import Phase, Status

DESCRIPTION = (
    "Pay anyone through any provider. Every answer is an envelope of data, error and meta. Authenticate with a Bearer key "
    "or a Plugipay-HMAC-SHA256 signature. Every POST that creates or changes a payout or a card needs an Idempotency-Key; a "
    "credit is booked once per reference."
)
_REF = "#/components/schemas/{model}"
_ERRORS = {
    "400": "Something in the request is wrong; `field` says what. Nothing was done.",
    "401": "No key, an unknown key, or a wrong signature.",
    "403": "The key lacks the scope.",
    "404": "This account has nothing like that.",
    "409": "It conflicts with what is there: an idempotency key, a reference or a state. Nothing was changed.",
    "422": "It cannot be done now: balance, route, amount or destination. Nothing was created.",
    "503": "Try again after Retry-After; the same Idempotency-Key is safe.",
    "default": "Whatever else goes wrong is told in the same envelope, too: 405, 408, 413, 415, 417 and 500.",
}
# Of the operations that ask for no key.
_OWN_ERRORS = {
    "receive_notice": {"401": "The notice is not proven to come from the provider.", "default": _ERRORS["default"]},
    "readyz": {"503": "Send it nothing: it is stopping, or its database does not answer."},
}
_QUERY: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "status": {"type": "string", "enum": list(Status)},
    "phase": {"type": "string", "enum": list(Phase)},
    "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "createdAfter": {"type": "string", "format": "date-time"},
    "createdBefore": {"type": "string", "format": "date-time"},
    "needsPerson": {
        "type": "boolean",
        "description": "Whether a person has to look at it (`reviewReason` is set): in `needs_review`, or in a final phase "
        "that the provider contradicts.",
    },
}


def _models() -> list[type[BaseModel]]:
    named: dict[str, type[BaseModel]] = {}
    for operation in OPERATIONS:
        for model in (operation.request, operation.answer):
            if model is not None:
                named[model.__name__] = model
    return [*named.values(), ErrorBody, Meta]


def _envelope(operation: Operation) -> dict[str, Any]:
    if operation.answer is None:
        return {}
    ref: dict[str, Any] = {"$ref": _REF.format(model=operation.answer.__name__)}
    return {
        "type": "object",
        "required": list(Envelope.model_fields),
        "properties": {
            "data": {"type": "array", "items": ref} if operation.is_list else ref,
            "error": {"type": "null"},
            "meta": {"$ref": _REF.format(model="Meta")},
        },
    }


def _failure(text: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": list(Envelope.model_fields),
        "properties": {
            "data": {"type": "null"},
            "error": {"$ref": _REF.format(model="ErrorBody")},
            "meta": {"$ref": _REF.format(model="Meta")},
        },
    }
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    text = {"type": "string"}
    parameters: list[dict[str, Any]] = [{"name": n, "in": "path", "required": True, "schema": text} for n in in_path]
    parameters += [{"name": n, "in": "query", "required": False, "schema": _QUERY.get(n, text)} for n in operation.query]
    if operation.needs_key:
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": True, "schema": key})
    return parameters


def _errors(operation: Operation) -> dict[str, str]:
    return _ERRORS if operation.is_authenticated else _OWN_ERRORS.get(operation.name, {})


def _describe(operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if operation.answer is not None:
        success["content"] = {"application/json": {"schema": _envelope(operation)}}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.name,
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": {
            **{str(status): success for status in (operation.status, operation.also) if status},
            **{code: _failure(text) for code, text in _errors(operation).items()},
        },
        "security": [{"bearer": []}, {"signature": []}] if operation.is_authenticated else [],
    }
    if operation.request is not None:
        ref = {"$ref": _REF.format(model=operation.request.__name__)}
        required = not operation.request.may_be_left_out
        described["requestBody"] = {"required": required, "content": {"application/json": {"schema": ref}}}
    return described


@cache
def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, schemas = models_json_schema([(model, "validation") for model in _models()], ref_template=_REF, by_alias=True)
    schemas["$defs"]["ErrorBody"]["properties"]["code"]["x-extensible-enum"] = list(ERROR_CODES)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Payout gateway", "version": "1", "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "Plugipay-HMAC-SHA256 keyId=<id>, scope=*, signature=<hex>, with X-Plugipay-Timestamp",
                },
            },
        },
    }
