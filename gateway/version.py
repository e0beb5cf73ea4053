"""Which release this is: for whoever reads a log line, or asks the command."""

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version of the installed package; a checkout that runs without being installed has none, and runs all the same."""
    try:
        return version("payout-gateway")
    except PackageNotFoundError:
        return "not installed"
