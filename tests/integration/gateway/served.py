"""A gateway in a process of its own, as `python -m gateway`, with models but without Triton."""

import sys

from gateway.__main__ import serve
from gateway.composition import Replacements
from gateway.settings import GatewaySettings
from stemcore.catalogue.memory import MemoryCatalogue
from tests.integration.gateway.conftest import MODELS

if __name__ == "__main__":
    settings = GatewaySettings()  # type: ignore[call-arg]
    sys.exit(serve(settings, instead=Replacements(catalogue=MemoryCatalogue(*MODELS))))
