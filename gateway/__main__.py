"""`python -m gateway`: settings from the environment, one server until a signal."""

import sys

from gateway.app import create_app
from gateway.lifetime import Lifetime
from gateway.server import GatewayServer
from gateway.settings import GatewaySettings
from stemcore.telemetry.logs import configure_logs


def main() -> int:
    """Serve; returns the exit status."""
    settings = GatewaySettings()  # type: ignore[call-arg]  # pydantic-settings fills it
    configure_logs(service="gateway", level=settings.log_level)
    lifetime = Lifetime()
    app = create_app(settings, lifetime=lifetime)
    GatewayServer(app, settings.http, lifetime=lifetime).run()
    return 1 if lifetime.failed else 0


if __name__ == "__main__":
    sys.exit(main())
