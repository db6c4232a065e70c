"""What a service of the stack has counted, by its own metrics port."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stemyard.stack.services import MetricsDoor

TIMEOUT_S = 10.0


async def counted(door: MetricsDoor, name: str, **labels: str) -> float:
    """The sum over all samples of that name that carry these labels."""
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        answer = await client.get(f"{door.address}/metrics")
    answer.raise_for_status()
    samples = [
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    ]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())
