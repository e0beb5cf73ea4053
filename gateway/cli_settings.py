"""From flags and environment to settings, and from a coroutine to an exit status. Used by every command; knows none."""

from collections.abc import Coroutine
from typing import Any

import typer
import uvloop
from pydantic import ValidationError

from gateway.running import StartError, existing_database, until_signal
from gateway.settings import Settings


def load_settings(**flags: Any) -> Settings:
    """The settings of the environment; a flag that was given wins. Raises `StartError` naming the wrong setting."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise StartError(f"Wrong settings, so nothing was started. {explain(error, prefix='GATEWAY_')}") from error


def settings_on_database() -> Settings:
    """The settings of a command that works on a database; it says which where no setting does, and raises where none is."""
    settings = load_settings()
    embedded = existing_database(settings)
    if embedded is not None:
        typer.echo(f"GATEWAY_DATABASE_URL is not set: this is about the embedded database in {embedded}.", err=True)
    return settings


def explain(error: ValidationError, *, prefix: str = "") -> str:
    """What is wrong, field by field, and never the value: it may be a secret."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(_explain(tuple(map(str, problem["loc"])), problem["msg"], prefix) for problem in problems) + "."


def _explain(path: tuple[str, ...], message: str, prefix: str) -> str:
    text = message.removeprefix("Value error, ")
    name = ".".join(path)
    return f"{prefix}{name.upper() if prefix else name}: {text}" if name else text


def run(work: Coroutine[Any, Any, int], *, stopped_status: int = 130) -> None:
    """Run a command's work until it ends or is asked to stop, and end the process with its status."""
    raise typer.Exit(uvloop.run(until_signal(work, stopped_status=stopped_status)))
