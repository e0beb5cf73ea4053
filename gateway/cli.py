"""The command `payout-gateway`: from its first moment to its exit status, without a traceback for what a person can put right.

The commands are in `cli_processes`, `cli_accounts`, `cli_channels`, `cli_desk`, `cli_incidents`, `cli_lookback` and
`cli_providers`, their work in `running`, `onboarding`, `demo`, `incidents`, `lookback` and `new_provider`.
"""

import signal
import sys


def main() -> None:
    """The entry point of `payout-gateway`."""
    # Until a command takes Ctrl-C over it ends the process quietly, imports included, which take most of a second.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gateway.cli_processes import EXPECTED, app  # noqa: PLC0415 - see above

    try:
        app()
    except EXPECTED as error:
        sys.stderr.write(f"payout-gateway: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
