"""The Pivot sandbox: batch payouts to Indonesian banks as the fact sheet `pivot.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Left out:
sub-merchants and their wallets, the international product.

Read in this order: facts, records, answers, rules, money, then the one class in its layers, each built on the one
before: state, webhooks, lifecycle, wallets, operations.
"""

from providers.pivot.sandbox.operations import PivotSandbox

__all__ = ["PivotSandbox"]
