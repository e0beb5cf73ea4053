"""The command that begins a new provider. The work is in `gateway.new_provider`."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.new_provider import next_steps, write_provider

provider_app = typer.Typer(name="provider", help="The providers that this gateway can pay through.", no_args_is_help=True)


@provider_app.callback()
def _group() -> None:
    """Without it a group of one command would swallow the command's name."""


@provider_app.command("new")
def provider_new(
    name: Annotated[str, typer.Argument(help="Small letters, digits and underscores: mollie", show_default=False)],
    into: Annotated[Path, typer.Option(help="The checkout that it is written into.")] = Path(),
) -> None:
    """Write a folder for a new provider, and a test that says step by step what is missing in it."""
    for path in write_provider(name, into):
        typer.echo(path)
    typer.echo(f"\n{next_steps(name)}")
