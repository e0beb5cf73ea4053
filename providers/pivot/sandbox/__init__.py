"""The Pivot sandbox: batch payouts to Indonesian banks as the fact sheet `pivot.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Left out so
far: balance histories, sub-merchants, withdrawals, the international product, rate limits.

Read in this order: facts, records, answers, rules, money, then the one class in its layers, each built on the one
before: state, webhooks, lifecycle, operations.
"""

from providers.pivot.sandbox.operations import PivotSandbox

__all__ = ["PivotSandbox"]
