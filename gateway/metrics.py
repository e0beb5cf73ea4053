"""What this process counts, for Prometheus. Labels are providers, states and codes only: never an account, id or number."""

from collections.abc import Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_CALL_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """All metrics, in a registry of their own, so that tests can run several gateways in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.payouts = Counter(
            "gateway_payouts_total",
            "Moves of payouts by the phase after the move: a payout counts at each of its moves, also within a phase",
            ["phase", "provider", "failure_class"],
            registry=self.registry,
        )
        self.open_payouts = Gauge(
            "gateway_payouts_open", "Payouts that are not final", ["provider", "phase"], registry=self.registry
        )
        self.queue_age_s = Gauge(
            "gateway_queue_age_seconds",
            "Age of the oldest payout that is not final",
            ["provider", "phase"],
            registry=self.registry,
        )
        self.attempt_age_s = Gauge(
            "gateway_attempt_age_seconds",
            "Age of the oldest attempt that a provider has not ended, by its state: `pending` shows silent stuck states",
            ["provider", "state"],
            registry=self.registry,
        )
        self.provider_balance = Gauge(
            "gateway_provider_balance",
            "What providers say is on our balances, in units of the currency: the lowest over all connections",
            ["provider", "currency"],
            registry=self.registry,
        )
        self.inbox_waiting = Gauge("gateway_inbox_waiting", "Notices that wait to be read", registry=self.registry)
        self.inbox_age_s = Gauge("gateway_inbox_age_seconds", "Age of the oldest unread notice", registry=self.registry)
        self.notices = Counter(
            "gateway_notices_total", "Inbound notices by what became of them", ["provider", "outcome"], registry=self.registry
        )
        self.provider_calls = Histogram(
            "gateway_provider_call_seconds",
            "Calls to providers",
            ["provider", "operation", "outcome"],
            buckets=_CALL_BUCKETS_S,
            registry=self.registry,
        )
        self.reports = Counter(
            "gateway_reports_total",
            "Reports by kind, and whether they changed anything",
            ["provider", "kind", "changed"],
            registry=self.registry,
        )
        self.unknown_words = Counter(
            "gateway_unknown_words_total",
            "Words of providers that no table knows: look at each",
            ["provider", "table"],
            registry=self.registry,
        )
        self.requests = Histogram(
            "gateway_request_seconds",
            "Requests answered",
            ["method", "route", "status"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        # Finding a child by its labels takes longer than counting: what every request counts is found once.
        self.payouts_of = cache(self.payouts.labels)
        self.requests_of = cache(self.requests.labels)
        self.loop_lag_s = Gauge("gateway_loop_lag_seconds", "How late the event loop wakes up", registry=self.registry)
        self.rounds = Counter("gateway_rounds_total", "Rounds of the loops", ["loop", "outcome"], registry=self.registry)
        self.open_circuits = Gauge(
            "gateway_circuits_open",
            "Connections that this process holds back, since nobody answers",
            ["provider"],
            registry=self.registry,
        )
        self.paused = Gauge("gateway_connections_paused", "Connections that are paused", ["provider"], registry=self.registry)
        self.recovery_hold = Gauge(
            "gateway_recovery_hold", "1 while a recovery hold is open and nothing is sent", registry=self.registry
        )
        self.reviews_open = Gauge("gateway_reviews_open", "Payouts that wait for a person", registry=self.registry)
        self.review_age_s = Gauge(
            "gateway_review_age_seconds", "How long the oldest of them has waited for a person", registry=self.registry
        )
        self.incidents_open = Gauge(
            "gateway_incidents_open", "Incidents that no person has closed", ["kind"], registry=self.registry
        )
        self.incident_age_s = Gauge(
            "gateway_incident_age_seconds",
            "Age of the oldest incident that no person has closed",
            ["kind"],
            registry=self.registry,
        )
        self.invariant_violations = Gauge(
            "gateway_invariant_violations",
            "Rows that break a rule of the books: must be zero",
            ["rule"],
            registry=self.registry,
        )
        self.invariants_checked = Gauge(
            "gateway_invariants_checked_timestamp_seconds",
            "When this process last checked all rules that were due",
            registry=self.registry,
        )
        self.invariant_failures = Counter(
            "gateway_invariant_failures_total",
            "Checks of a rule that could not be made: nobody knows whether it holds",
            ["rule"],
            registry=self.registry,
        )
        self.lookback_age_s = Gauge(
            "gateway_lookback_age_seconds",
            "Up to how long ago a connection's payouts were compared with its provider's whole list: the oldest",
            ["provider"],
            registry=self.registry,
        )
        self.lookbacks = Counter(
            "gateway_lookbacks_total",
            "Comparisons with a provider's own list, by how much of it could be read",
            ["provider", "outcome"],
            registry=self.registry,
        )
        self.lookback_differences = Counter(
            "gateway_lookback_differences_total",
            "Incidents that comparisons with providers' own lists have opened",
            ["provider", "kind"],
            registry=self.registry,
        )

    def start_at_zero(self, *, loops: Iterable[str], rules: Iterable[str], providers: Iterable[str]) -> None:
        """Make what alerts watch for an increase: Prometheus sees none in a series that begins with its first event."""
        for loop in loops:
            self.rounds.labels(loop, "error")
        for rule in rules:
            self.invariant_failures.labels(rule)
        self.notices.labels("unknown", "refused")
        for provider in providers:
            self.paused.labels(provider)
            for outcome in ("refused", "unreadable", "unmatched"):
                self.notices.labels(provider, outcome)
