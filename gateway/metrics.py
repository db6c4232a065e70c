"""What the gateway counts and measures."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from stemcore.jobs import JobStatus

# From a cached answer to an upload of a gigabyte.
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayMetrics:
    """Every metric of the gateway; routes are templates, never paths."""

    http_request_duration_seconds: Histogram
    job_transitions: Counter
    decode_outcomes: Counter

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "GatewayMetrics":
        """All of them, at zero."""
        ProcessCollector(registry=registry)
        return cls(
            http_request_duration_seconds=Histogram(
                "http_request_duration_seconds",
                "From the request's head to the end of its answer.",
                ["method", "route", "status"],
                buckets=_REQUEST_BUCKETS_S,
                registry=registry,
            ),
            job_transitions=Counter(
                "job_transitions",
                "Changes of a job's status made by this process.",
                ["to"],
                registry=registry,
            ),
            decode_outcomes=Counter(
                "decode_outcomes",
                "Sources looked into, by error code, or `ok`.",
                ["code"],
                registry=registry,
            ),
        )

    def status_changed(self, status: JobStatus) -> None:
        """Count a change of a job's status."""
        self.job_transitions.labels(status.value).inc()

    def looked_into(self, outcome: str) -> None:
        """Count a source that was looked into, by error code, or `ok`."""
        self.decode_outcomes.labels(outcome).inc()
