"""Where Kafka is, who we are there, and what our topics are like."""

import ssl
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    FilePath,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from stemcore.settings import SettingsSection
from stemcore.topics import DEAD_LETTERS_TOPIC, EVENTS_TOPIC, JOBS_TOPIC, SUBMISSIONS_TOPIC


class SecurityProtocol(StrEnum):
    """How the listener is spoken to."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self in (SecurityProtocol.SSL, SecurityProtocol.SASL_SSL)

    @property
    def authenticated(self) -> bool:
        """Whether the listener asks for a name and a password."""
        return self in (SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL)


class SaslMechanism(StrEnum):
    """How the password is proven."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class TopicSettings(SettingsSection):
    """What a topic is created with, and checked against; `replication` None means the common one.

    Partitions are never added to a topic that exists: keys would move, and their order be lost.
    """

    partitions: int = Field(ge=1, le=1000)
    retention_hours: float = Field(default=7 * 24, gt=0)
    replication: int | None = Field(default=None, ge=1, le=16)

    @property
    def retention_ms(self) -> int:
        """As Kafka counts."""
        return round(self.retention_hours * 3_600_000)


class TopicsSettings(SettingsSection):
    """The topics."""

    jobs: TopicSettings = TopicSettings(partitions=12)
    submissions: TopicSettings = TopicSettings(partitions=6)
    events: TopicSettings = TopicSettings(partitions=12)
    dead_letters: TopicSettings = TopicSettings(partitions=1, retention_hours=30 * 24)

    def by_name(self) -> Mapping[str, TopicSettings]:
        """Settings by the topic's name in Kafka."""
        return {
            JOBS_TOPIC: self.jobs,
            SUBMISSIONS_TOPIC: self.submissions,
            EVENTS_TOPIC: self.events,
            DEAD_LETTERS_TOPIC: self.dead_letters,
        }


class KafkaSettings(SettingsSection, hide_input_in_errors=True):
    """Kafka as a client sees it.

    `bootstrap_servers` is `host:port`, several separated by commas. `ca_file` holds the
    certificates (PEM) that the brokers' are signed with; without one the system's are trusted.
    `publish_timeout_s` bounds one batch, retries included.
    """

    bootstrap_servers: Annotated[str, Field(min_length=1)]
    client_id: str = "stemyard"
    consumer_group: str = "stemyard"
    security_protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    sasl_mechanism: SaslMechanism = SaslMechanism.SCRAM_SHA_512
    username: str | None = None
    password: SecretStr | None = None
    ca_file: FilePath | None = None
    replication: int = Field(default=3, ge=1, le=16)
    topics: TopicsSettings = TopicsSettings()
    request_timeout_s: float = Field(default=5.0, gt=0)
    publish_timeout_s: float = Field(default=10.0, gt=0, le=20)
    start_timeout_s: float = Field(default=30.0, gt=0)
    stop_timeout_s: float = Field(default=3.0, gt=0)
    session_timeout_s: float = Field(default=10.0, ge=6)
    reconnect_s: float = Field(default=1.0, gt=0)

    _trusted: ssl.SSLContext | None = PrivateAttr(default=None)

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_with_ports(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdecimal():
                raise ValueError(f"{server.strip()!r} is not host:port")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        named = self.username is not None and self.password is not None
        if self.security_protocol.authenticated and not named:
            raise ValueError(f"{self.security_protocol} needs username and password")
        if not self.security_protocol.authenticated and (self.username or self.password):
            raise ValueError(f"{self.security_protocol} never shows a username or password")
        if self.ca_file is not None and not self.security_protocol.encrypted:
            raise ValueError(f"{self.security_protocol} never looks at ca_file")
        self._trusted = self._read_certificates()
        return self

    @property
    def hosts(self) -> list[str]:
        """The bootstrap servers one by one."""
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        """What TLS trusts, read once; None where none is spoken."""
        return self._trusted

    def _read_certificates(self) -> ssl.SSLContext | None:
        if not self.security_protocol.encrypted:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError as error:
            raise ValueError(f"ca_file {self.ca_file} holds no PEM certificates") from error

    def connection_options(self) -> dict[str, Any]:
        """Arguments that every one of aiokafka's clients takes, and its connections too."""
        return {
            "client_id": self.client_id,
            "request_timeout_ms": round(self.request_timeout_s * 1000),
            "security_protocol": self.security_protocol.value,
            "ssl_context": self.ssl_context,
            "sasl_mechanism": self.sasl_mechanism.value,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password and self.password.get_secret_value(),
        }
