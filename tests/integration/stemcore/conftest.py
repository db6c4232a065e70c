import pytest

from tests.integration.stemcore.decoders import Decoders, decoders_from_now_on


@pytest.fixture(autouse=True)
def decoders() -> Decoders:
    """Looks before any other fixture of the test has started one."""
    return decoders_from_now_on()
