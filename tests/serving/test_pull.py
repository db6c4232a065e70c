"""From a hub to an answer: a published bag is pulled into a Triton that runs."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from stemyard.stack.settings import ROOT
from tests.exporters.hub import serving_files
from tests.serving.conftest import running_server
from tests.serving.small_models import write_model

EXPORTERS = ROOT / ".envs" / "exporters" / "bin" / "python"
STEMS = ("drums", "vocals")
SAMPLES = 13_230
PULL_TIMEOUT_S = 240
NOBODY = "http://127.0.0.1:1"
HUB = "/adefossez/HTDemucs-ft/resolve/main"

pytestmark = pytest.mark.skipif(
    not EXPORTERS.exists(), reason=f"{EXPORTERS} is absent: make exporters"
)


def published(folder: Path) -> Mapping[str, bytes]:
    """htdemucs_ft as the hub has it, of two small models."""
    write = "import sys, pathlib; from tests.exporters.htdemucs.bags import write_bag; "
    write += "write_bag(pathlib.Path(sys.argv[1]))"
    subprocess.run([EXPORTERS, "-c", write, folder], cwd=ROOT, check=True)
    models = {f"{HUB}/{path.name}": path.read_bytes() for path in folder.glob("*.safetensors")}
    (definition,) = folder.glob("*.yaml")
    return models | {f"{HUB}/htdemucs_ft.yaml": definition.read_bytes()}


def pull(runtime: Path, repository: Path, hub: str, downloads: Path) -> str:
    """`make pull MODEL=htdemucs_ft` with nothing but our hub to be reached."""
    environment = {
        "MODEL": "htdemucs_ft",
        "REPOSITORY": str(repository),
        "RUNTIME": str(runtime),
        "HF_ENDPOINT": hub,
        "HF_HOME": str(downloads),
        "TORCH_HOME": str(downloads),
        "https_proxy": NOBODY,
        "no_proxy": "127.0.0.1",
        # Models this small only wait for other threads.
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [ROOT / "scripts" / "pull"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PULL_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(300)
async def test_a_pulled_bag_is_served_by_the_running_triton(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    write_model(repository, "gains")
    with serving_files(await asyncio.to_thread(published, tmp_path / "published")) as hub:
        async with running_server(tmp_path / "runtime", repository) as server:
            told = await asyncio.to_thread(
                pull, server.runtime.serving, repository, hub, tmp_path / "downloads"
            )
            mix = np.random.default_rng(1).standard_normal((1, 2, SAMPLES), dtype=np.float32)
            answer = await server.separate("htdemucs_ft", mix, wanted=STEMS)
            parts = [f"htdemucs_ft-{stem}" for stem in STEMS]
            counts = [(await server.counted(part, inferences=1))[1] for part in parts]
    assert "htdemucs_ft loaded, digest" in told
    assert counts == [1, 1]
    for stem in STEMS:
        assert answer.as_numpy(stem).shape == mix.shape
        assert np.isfinite(answer.as_numpy(stem)).all()
