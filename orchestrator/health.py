"""What the orchestrator cannot do without."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stemcore.bus.kafka.check import kafka_check
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.catalogue.port import ModelCatalogue
from stemcore.health import Check, database_check, engine_check, storage_check
from stemcore.storage.port import ObjectStore

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


def checks(
    pool: "Pool", *, catalogue: ModelCatalogue, store: ObjectStore, kafka: KafkaSettings | None
) -> Mapping[str, Check]:
    """By the name that its absence is told by."""
    return {
        "database": database_check(pool),
        "engine": engine_check(catalogue.models),
        "storage": storage_check(store),
        **({} if kafka is None else {"bus": kafka_check(kafka)}),
    }
