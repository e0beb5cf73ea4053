"""The Plexy sandbox: payouts to saved cards as the fact sheet `plexy.md` describes them, on a real socket.

Independent of the connector: shares no code and no setting with it. Never reads the gateway's database. Takes only
the two test card numbers. Left out: key delivery for card encryption and customers beyond their card tokens (their
paths are not known), settlement orders, everything about payments.

Read in this order: facts, records, answers, rules, then the one class in its layers, each built on the one before:
state, webhooks, lifecycle, operations.
"""

from providers.plexy.sandbox.operations import PlexySandbox

__all__ = ["PlexySandbox"]
