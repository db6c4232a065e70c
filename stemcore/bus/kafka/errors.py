"""What aiokafka raises, in our words."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager

from aiokafka import errors as kafka

from stemcore.bus.errors import BusAway, BusRefused

_FORBIDDEN = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
)
_PASSWORD = (kafka.SaslAuthenticationFailed, kafka.AuthenticationFailedError)
_MECHANISM = (
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
    kafka.AuthenticationMethodNotSupported,
)


@contextmanager
def kafka_errors() -> Generator[None]:
    """Translate whatever aiokafka raises; names the settings to look at."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise BusRefused(
            f"the broker's certificate is not trusted ({error.verify_message}); "
            "look at KAFKA__CA_FILE and at the host names in KAFKA__BOOTSTRAP_SERVERS"
        ) from error
    except ssl.SSLError as error:
        raise BusRefused(
            f"the listener speaks no TLS ({error.reason}); look at KAFKA__SECURITY_PROTOCOL"
        ) from error
    except _PASSWORD as error:
        raise BusRefused(
            "the password is wrong or the user unknown; look at KAFKA__USERNAME and KAFKA__PASSWORD"
        ) from error
    except _MECHANISM as error:
        raise BusRefused(
            "the listener knows no such SASL mechanism; look at KAFKA__SASL_MECHANISM and "
            "KAFKA__SECURITY_PROTOCOL"
        ) from error
    except _FORBIDDEN as error:
        raise BusRefused(f"the user lacks a right ({error}); look at the brokers' ACLs") from error
    except (kafka.KafkaError, kafka.IllegalOperation, OSError, TimeoutError) as error:
        raise BusAway(repr(error)) from error
