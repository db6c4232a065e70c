"""Whether the broker lets us in, asked of a real one."""

from typing import TYPE_CHECKING

from stemcore.bus.kafka.check import kafka_check
from stemcore.health import complaints
from tests.integration.kafka_records import settings_for
from tests.integration.stemcore.test_kafka_security import secure_settings

if TYPE_CHECKING:
    from tests.servers.kafka import RunningKafka, RunningSecureKafka


async def test_one_broker_that_answers_is_enough(
    kafka_server: "RunningKafka", unused_tcp_port: int
) -> None:
    servers = f"127.0.0.1:{unused_tcp_port},{kafka_server.bootstrap}"
    assert await complaints({"bus": kafka_check(settings_for(servers))}) == {}


async def test_nobody_there_is_a_complaint(unused_tcp_port: int) -> None:
    check = kafka_check(settings_for(f"127.0.0.1:{unused_tcp_port}"))
    assert "does not answer" in (await complaints({"bus": check}))["bus"]


async def test_a_wrong_password_is_told_by_its_setting(
    secure_kafka_server: "RunningSecureKafka",
) -> None:
    check = kafka_check(secure_settings(secure_kafka_server, password="wrong"))
    assert "KAFKA__PASSWORD" in (await complaints({"bus": check}))["bus"]
