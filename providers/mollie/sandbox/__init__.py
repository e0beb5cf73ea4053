"""The Mollie sandbox: payouts of a balance as the fact sheet `mollie.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Left out:
balance reports and transactions, the rotation of an API-made subscription's secret (the dashboard's address has it).

Read in this order: facts, records, amounts, answers, rules, then the one class in its layers, each built on the one
before: state, webhooks, lifecycle, idempotency, subscriptions, operations.
"""

from providers.mollie.sandbox.operations import MollieSandbox
from providers.mollie.sandbox.webhooks import sign

__all__ = ["MollieSandbox", "sign"]
