"""`python -m gateway`: settings from the environment, one server until a signal."""

import sys

from gateway.app import create_app
from gateway.composition import Replacements
from gateway.lifetime import Lifetime
from gateway.server import GatewayServer
from gateway.settings import GatewaySettings
from stemcore.environment import from_environment
from stemcore.telemetry.context import with_trace_id
from stemcore.telemetry.logs import configure_logs


def serve(settings: GatewaySettings, *, instead: Replacements | None = None) -> int:
    """Serve until stopped; returns the exit status."""
    configure_logs(service="gateway", level=settings.log_level, also=[with_trace_id])
    lifetime = Lifetime()
    app = create_app(settings, lifetime=lifetime, instead=instead)
    GatewayServer(app, settings.http, lifetime=lifetime).run()
    return 1 if lifetime.failed else 0


def main() -> int:
    """Serve with the environment's settings."""
    return serve(from_environment(GatewaySettings))


if __name__ == "__main__":
    sys.exit(main())
