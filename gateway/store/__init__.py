"""PostgreSQL: the only storage. SQL stands beside its function or in `migrations/`; a value never becomes part of its text."""
