"""The flow: the HTTP edge, the pure core, the loops, the store and the one place where all of it is put together."""
