"""The words of the product: what a payout, an attempt, a report and a contract are.

Imports nothing of ours, does no I/O and reads no clock. `providers` and `gateway` both build on it.
"""
