"""The commands that run something: `serve`, `sandbox`, `demo`; and `migrate` and `master-key`, which come before them.

Only flags and settings are read here; the work itself is in `gateway.running` and `gateway.demo`.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway import logs
from gateway.app import DemoKeysError
from gateway.cli_accounts import account_app, connection_app, key_app
from gateway.cli_channels import connection_channels
from gateway.cli_desk import desk_app
from gateway.cli_holds import hold_app
from gateway.cli_incidents import connection_resume, incident_app, verify
from gateway.cli_lookback import lookback_app
from gateway.cli_providers import provider_app
from gateway.cli_settings import load_settings, run, settings_on_database
from gateway.demo.run import run_demo
from gateway.high_water import MarkError
from gateway.holds import HoldError
from gateway.incidents import IncidentError
from gateway.new_provider import NewProviderError
from gateway.onboarding import OnboardingError
from gateway.running import StartError, database, serve, serve_sandboxes
from gateway.sealing import MasterKeyError, new_master_key
from gateway.settings import Settings, address
from gateway.store.database import UnsafeDatabaseError
from gateway.version import installed_version

# What a person can put right: shown as one line, without a traceback.
EXPECTED = (
    StartError,
    OnboardingError,
    IncidentError,
    HoldError,
    MarkError,
    NewProviderError,
    MasterKeyError,
    DemoKeysError,
    UnsafeDatabaseError,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and those hold secrets
)


def _say_version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        typer.echo(installed_version())
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One API to pay anyone through any provider. Settings come from GATEWAY_*; flags win over them."""


app.add_typer(account_app)
app.add_typer(key_app)
app.add_typer(hold_app)
app.add_typer(connection_app)
app.add_typer(desk_app)
connection_app.command("channels")(connection_channels)
connection_app.command("resume")(connection_resume)
app.add_typer(incident_app)
app.add_typer(lookback_app)
app.command()(verify)
app.add_typer(provider_app)

Host = Annotated[str | None, typer.Option(help="The address to listen on.", show_default=False)]
Port = Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.", show_default=False)]
DataDir = Annotated[Path | None, typer.Option(help="Where the data lies.", show_default=False)]


@app.command("serve")
def serve_command(host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Run the gateway until SIGINT or SIGTERM, with a PostgreSQL of its own unless GATEWAY_DATABASE_URL is set."""
    settings = load_settings(host=host, port=port, data_dir=data_dir)
    logs.configure(settings.log_level)
    run(serve(settings), stopped_status=0)


@app.command()
def sandbox(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    speed: Annotated[float | None, typer.Option(help="How many times faster than in real life.", show_default=False)] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides all chance: the same seed repeats the same faults.", show_default=False)
    ] = None,
    *,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run the provider sandboxes: they behave like the providers, and no money is real."""
    settings = load_settings(sandbox_host=host, sandbox_port=port, data_dir=data_dir, sandbox_speed=speed, sandbox_seed=seed)
    logs.configure(settings.log_level, stream=sys.stderr.buffer)  # standard output is for the address alone
    run(
        serve_sandboxes(settings, lambda bound: _say_address(settings, bound), with_parent=until_stdin_closes), stopped_status=0
    )


def _say_address(settings: Settings, port: int) -> None:
    typer.echo(f"Seed {settings.sandbox_seed}: the same seed and the same requests meet the same faults.", err=True)
    typer.echo(address(settings.sandbox_host, port))
    sys.stdout.flush()


@app.command()
def demo(
    port: Port = None,
    sandbox_port: Port = None,
    data_dir: DataDir = None,
    *,
    once: Annotated[bool, typer.Option(help="End when the four payouts are final, with 0 if all were paid.")] = False,
) -> None:
    """Start the sandboxes and a gateway, send one payout of each of the four shapes, show each step, and keep serving."""
    settings = load_settings(demo=True, port=port, sandbox_port=sandbox_port, data_dir=data_dir)
    raise typer.Exit(uvloop.run(run_demo(settings, once=once)))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date; `serve` does it too."""
    settings = settings_on_database()

    async def work() -> int:
        async with database(settings):
            typer.echo("The schema is up to date.")
        return 0

    run(work())


@app.command("master-key")
def master_key() -> None:
    """Print a fresh master key. Keep it safe: without it nobody can open what was sealed with it."""
    typer.echo(new_master_key())
