"""The translators: one folder a provider, one HTTP transport, one table reader, one registry.

Imports `schemas` only. Providers decide nothing, store nothing and never repeat a send.
"""
