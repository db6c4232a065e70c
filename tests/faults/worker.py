"""An orchestrator in a process of its own, as `python -m orchestrator`, with the slow engine."""

import asyncio
import os
from pathlib import Path

from orchestrator.__main__ import main
from orchestrator.composition import Replacements
from orchestrator.settings import OrchestratorSettings
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.port import ServedModel
from stemcore.telemetry.logs import configure_logs
from tests.faults.engine import SlowSeparator
from tests.integration.orchestrator.cards import gain_card

if __name__ == "__main__":
    settings = OrchestratorSettings()  # pyright: ignore[reportCallIssue]
    configure_logs(service="orchestrator", level=settings.log_level)
    separator = SlowSeparator(
        delay_s=float(os.environ["FAULTS_DELAY_S"]), record=Path(os.environ["FAULTS_RECORD"])
    )
    catalogue = MemoryCatalogue(ServedModel(card=gain_card(), ready=True))
    asyncio.run(main(settings, instead=Replacements(catalogue=catalogue, separator=separator)))
