from uuid import uuid4

from stemcore.bus.memory import MemoryBus
from stemcore.messages import JobRequested


async def test_what_nobody_acknowledged_arrives_again() -> None:
    bus = MemoryBus()
    message = JobRequested(event_id=uuid4(), job_id=uuid4(), kind="separation", account_id=uuid4())
    await bus.publish(message.model_dump_json())
    deliveries = bus.deliveries()
    first, again = await anext(deliveries), await anext(deliveries)
    assert first.message == again.message == message
    await again.acknowledge()
    await bus.publish("nonsense")
    assert (await anext(deliveries)).message != message
