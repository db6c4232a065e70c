"""What the orchestrator counts and measures."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_RUN_BUCKETS_S = (1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 2400, 3600, 7200)
_SEGMENT_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_FILE_BUCKETS_BYTES = tuple(1 << exponent for exponent in range(16, 32, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorMetrics:
    """Every metric of the orchestrator; labels are outcomes, codes and served models."""

    separation_duration_seconds: Histogram
    separation_file_size_bytes: Histogram
    segment_inference_seconds: Histogram
    segments_in_flight: Gauge
    window: Gauge
    dispatch: Counter
    job_transitions: Counter
    lease_losses: Counter
    decode_outcomes: Counter
    dead_letters: Counter
    kafka_partitions_assigned: Gauge

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "OrchestratorMetrics":
        """All of them, at zero."""
        ProcessCollector(registry=registry)
        return cls(
            separation_duration_seconds=Histogram(
                "separation_duration_seconds",
                "From the claim of a job to the end of the run.",
                ["outcome"],
                buckets=_RUN_BUCKETS_S,
                registry=registry,
            ),
            separation_file_size_bytes=Histogram(
                "separation_file_size_bytes",
                "Sources of the runs that were begun.",
                buckets=_FILE_BUCKETS_BYTES,
                registry=registry,
            ),
            segment_inference_seconds=Histogram(
                "separation_segment_inference_seconds",
                "One request to the inference server, its queue included.",
                ["model"],
                buckets=_SEGMENT_BUCKETS_S,
                registry=registry,
            ),
            segments_in_flight=Gauge(
                "separation_segments_in_flight",
                "Requests now at the inference server.",
                registry=registry,
            ),
            window=Gauge(
                "separation_window_segments",
                "Requests this process keeps in flight at most.",
                registry=registry,
            ),
            dispatch=Counter(
                "dispatch", "Jobs queued, by what brought them.", ["path"], registry=registry
            ),
            job_transitions=Counter(
                "job_transitions",
                "Changes of a job's status made by this process.",
                ["to"],
                registry=registry,
            ),
            lease_losses=Counter(
                "lease_losses",
                "Leases that ended without their holder: expired, or found stale by it.",
                ["reason"],
                registry=registry,
            ),
            decode_outcomes=Counter(
                "decode_outcomes",
                "Sources decoded, by error code, or `ok`.",
                ["code"],
                registry=registry,
            ),
            dead_letters=Counter(
                "dead_letters", "Messages that were put aside.", registry=registry
            ),
            kafka_partitions_assigned=Gauge(
                "kafka_partitions_assigned",
                "Partitions this process reads.",
                ["topic"],
                registry=registry,
            ),
        )
