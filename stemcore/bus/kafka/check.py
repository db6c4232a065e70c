"""Whether any of the brokers lets us in."""

from stemcore.bus.kafka.knock import knock
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.errors import Unavailable
from stemcore.health import Check


def kafka_check(settings: KafkaSettings) -> Check:
    """Asks with a connection of its own, the password included."""

    async def ask() -> None:
        last_error: Unavailable | None = None
        for server in settings.hosts:
            try:
                await knock(server, settings)
            except Unavailable as error:
                last_error = error
            else:
                return
        if last_error is not None:
            raise last_error

    return ask
