"""The machinery that all provider sandboxes share: server, control surface, money ledger, faults, webhooks, time.

A sandbox plays a provider on a real socket and writes down the money it really sent. Nothing here, nor in any
`providers/<name>/sandbox.py`, imports a connector or the gateway, or reads the gateway's database: what the
sandboxes say about money is a second opinion, not an echo.
"""
