"""What this process counts, for Prometheus. Labels are providers, states and codes only: never an account, id or number."""

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
            "Payouts that reached a phase",
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
