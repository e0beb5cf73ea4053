"""The Xendit sandbox: single payouts to banks and e-wallets as the fact sheet `xendit.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Left out:
version 3 of the API, cash (OTC) payouts with their statuses, balance history by `at_timestamp`.

Read in this order: facts, channels, records, answers, rules, then the one class in its layers, each built on the one
before: state, webhooks, lifecycle, operations.
"""

from providers.xendit.sandbox.operations import XenditSandbox

__all__ = ["XenditSandbox"]
