"""The demo: sandboxes, gateway and one payout of each shape, shown in a terminal. Never part of a real deployment."""
