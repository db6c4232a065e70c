"""The gateway's spans and metrics, built before anything that is watched."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gateway.metrics import GatewayMetrics
from gateway.settings import GatewaySettings
from stemcore.telemetry.traces import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayTelemetry:
    """Handed to whoever tells; `tracing` is opened and closed with the services."""

    tracing: Tracing
    registry: CollectorRegistry
    metrics: GatewayMetrics

    @classmethod
    def of(cls, settings: GatewaySettings) -> "GatewayTelemetry":
        """A registry of its own: several gateways may run in one process."""
        registry = CollectorRegistry()
        return cls(
            tracing=Tracing.of(settings.traces, service="gateway"),
            registry=registry,
            metrics=GatewayMetrics.on(registry),
        )
