"""I14: no transaction is open, and no row locked, while a provider is being asked."""

import asyncio
import time

_OLDEST_S = """select coalesce(max(extract(epoch from now() - xact_start)), 0)::float8 from pg_stat_activity
    where datname = current_database() and application_name = 'payout-gateway' and pid <> pg_backend_pid()"""
_PROVIDERS = ("xendit", "pivot", "plexy")
_EVERY_CALL_TAKES_S = 1.5
_LOOK_S = 0.02


async def test_i14_no_transaction_is_open_while_a_provider_is_asked(stage):
    """Every call takes longer than any transaction may last: one that spans a call would be seen."""
    await stage.start(answer_within_s=4.0)
    for provider in _PROVIDERS:
        slow = {"operation": "*", "kind": "slow", "params": {"ms": _EVERY_CALL_TAKES_S * 1000}}
        await stage.control("POST", provider, "faults", slow)
    await stage.load()
    until = time.monotonic() + 2.5 * _EVERY_CALL_TAKES_S  # sends, reads and cancellations
    oldest_s = 0.0
    while time.monotonic() < until:
        oldest_s = max(oldest_s, await stage.pool.fetchval(_OLDEST_S))
        await asyncio.sleep(_LOOK_S)
    assert oldest_s < 1.0
    for provider in _PROVIDERS:
        asked = await stage.control("GET", provider, "requests")
        assert sum(asked["operations"].values()) > 1, f"{provider} was not asked meanwhile"
