"""The HTTP edge: reads a request strictly, writes it down, answers in the envelope. Calls no provider."""
