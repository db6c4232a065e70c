"""The orchestrator's own refusal, whatever door a job came by."""

import asyncio
from dataclasses import replace
from pathlib import Path

from orchestrator.adapters.memory import MemorySeparator
from orchestrator.composition import Replacements, build
from orchestrator.settings import OrchestratorSettings, ScratchSettings
from stemcore.audio_decoder import SandboxSettings
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.policy import ModelPolicy
from stemcore.catalogue.port import ServedModel
from stemcore.database.pool import DatabaseSettings
from stemcore.jobs import JobStatus
from stemcore.model_card import Licences
from stemcore.storage.settings import StorageSettings
from tests.integration.orchestrator.cards import GAINS, gain_card
from tests.integration.orchestrator.conftest import Jobs

RESEARCH = Licences(code="MIT", weights="research only", noncommercial=True)


async def test_a_job_for_research_weights_fails_where_the_policy_refuses_them(
    jobs: Jobs, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    settings = OrchestratorSettings(
        database=database_settings,
        storage=StorageSettings(root=tmp_path / "objects"),
        scratch=ScratchSettings(root=tmp_path / "scratch"),
        sandbox=SandboxSettings(warm=0),
        models=ModelPolicy(refuse_noncommercial=True),
    )
    free = ServedModel(card=gain_card("free"), ready=True)
    bound = ServedModel(card=replace(gain_card("bound"), licences=RESEARCH), ready=True)
    instead = Replacements(catalogue=MemoryCatalogue(free, bound), separator=MemorySeparator(GAINS))
    job_id = await jobs.submit(b"a song", model="bound")
    stopping = asyncio.Event()
    async with build(settings, instead=instead) as orchestrator:
        slot = asyncio.create_task(orchestrator.slots[0].run(stopping))
        row = await jobs.become(job_id, JobStatus.FAILED, JobStatus.SUCCEEDED)
        stopping.set()
        await slot
    assert row["error"]["code"] == "model_refused"
    assert "research only" in row["error"]["message"]
