"""Token bucket and circuit breaker: pure arithmetic over passed-in times."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.breaker import FIRST_PAUSE_S, MAX_PAUSE_S, OPENS_AFTER, Breaker, Circuit
from gateway.pacing import MAX_PAUSE_S as MAX_ASKED_S
from gateway.pacing import Bucket


@given(
    st.floats(0.1, 100),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 20)), max_size=60),
)
def test_never_faster_than_the_rate(rate, steps):
    bucket, now, started = Bucket.full(rate, 0.0), 0.0, 0
    for pause, wanted in steps:
        now += pause
        count = min(wanted, bucket.available(now))
        bucket.take(count, now)
        started += count
        assert started <= max(1.0, rate) + rate * now + 1e-6


def test_a_provider_that_asks_for_a_pause_gets_it_within_reason():
    for asked, waits in ((None, 1.0), (5, 5), (-3, 0), (10 * 365 * 86400, MAX_ASKED_S)):
        bucket = Bucket.full(10, 0.0)
        bucket.pause(asked, 0.0)
        assert bucket.available(max(waits - 0.01, 0)) == 0
        assert bucket.available(waits + 1) > 0


def test_the_circuit_opens_tries_and_closes():
    breaker = Breaker()
    for _ in range(OPENS_AFTER - 1):
        breaker.troubled(0.0)
    assert breaker.allowed(10, 0.0) == 10
    breaker.troubled(0.0)
    assert (breaker.state(0.1), breaker.allowed(10, 0.1)) == (Circuit.OPEN, 0)
    later = FIRST_PAUSE_S + 0.1
    assert breaker.allowed(10, later) == 1
    breaker.started(later)
    assert breaker.allowed(10, later) == 0, "one tries, the others wait"
    breaker.answered()
    assert breaker.allowed(10, later) == 10


def test_pauses_grow_while_nothing_helps():
    breaker, now, pauses = Breaker(), 0.0, []
    for _ in range(OPENS_AFTER):
        breaker.troubled(now)
    for _ in range(10):
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
        breaker.started(now)
        breaker.troubled(now)
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_PAUSE_S


def test_an_answer_in_between_starts_the_count_anew():
    breaker = Breaker()
    for _ in range(20):
        for _ in range(OPENS_AFTER - 1):
            breaker.troubled(0.0)
        breaker.answered()
    assert breaker.state(0.0) is Circuit.CLOSED
