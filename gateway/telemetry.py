"""The gateway's spans and metrics, built before anything that is watched."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gateway.metrics import GatewayMetrics
from gateway.settings import GatewaySettings
from stemcore.telemetry.heartbeats import Heartbeats
from stemcore.telemetry.traces import Tracing

# Whoever takes longer for one batch is taken for stuck.
RELAY_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayTelemetry:
    """Handed to whoever tells; `tracing` is opened and closed with the services."""

    tracing: Tracing
    registry: CollectorRegistry
    metrics: GatewayMetrics
    heartbeats: Heartbeats

    @classmethod
    def of(cls, settings: GatewaySettings) -> "GatewayTelemetry":
        """A registry of its own: several gateways may run in one process."""
        registry = CollectorRegistry()
        return cls(
            tracing=Tracing.of(settings.traces, service="gateway"),
            registry=registry,
            metrics=GatewayMetrics.on(registry),
            heartbeats=Heartbeats(),
        )

    def relaying(self) -> AbstractContextManager[None]:
        """Around one batch of messages."""
        return self.heartbeats.busy("relay", within_s=RELAY_LIMIT_S)
