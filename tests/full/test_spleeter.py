"""Spleeter at full size and trained, whole songs against Separator; and how it is fetched."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from exporters.__main__ import main
from exporters.card_writer import ModelFolder
from exporters.errors import CheckpointError
from exporters.parity import Step
from exporters.spleeter.family import LoadSpleeter
from exporters.spleeter.program import SpleeterProgram
from tests.exporters.hub import serving_files

ROOT = Path(__file__).resolve().parents[2]
FLOOR_DB = 80.0
NOBODY = "http://127.0.0.1:1"
SMALL = ("4", "8", "12", "16", "24", "32")
RELEASE = "/deezer/spleeter/releases/download/v1.4.0"

pytestmark = pytest.mark.timeout(1_800)


def random_checkpoint(folder: Path, configuration: str, *filters: str) -> Path:
    chosen = ["--configuration", configuration, "--output", folder]
    SpleeterProgram().run("random-checkpoint", *chosen, *(["--filters", *filters] * bool(filters)))
    return folder


def verified_db(family: str, checkpoint: Path, repository: Path) -> float:
    """Exports and verifies from the shell; the worst of the whole songs."""
    where = ["--checkpoint", str(checkpoint), "--repository", str(repository)]
    assert main(["export", family, "--name", "spleeter", *where]) == 0
    assert main(["verify", "spleeter", *where]) == 0
    card = ModelFolder(repository / "spleeter").read_card()
    assert card.family == family
    ratios = [
        figure.snr_db
        for figure in card.parity
        if figure.step == Step.ENGINE_SONG and figure.snr_db is not None
    ]
    assert len(ratios) == 3
    return min(ratios)


@pytest.mark.parametrize("name", ["2stems", "4stems", "5stems", "4stems-16kHz"])
def test_full_size_is_spleeter_on_whole_songs(tmp_path: Path, name: str) -> None:
    checkpoint = random_checkpoint(tmp_path / "checkpoint", f"spleeter:{name}")
    family = "spleeter-16kHz" if name.endswith("-16kHz") else "spleeter"
    assert verified_db(family, checkpoint, tmp_path) >= FLOOR_DB


@pytest.mark.parametrize("name", ["2stems", "4stems", "5stems"])
def test_trained_weights_are_spleeter_on_whole_songs(tmp_path: Path, name: str) -> None:
    start = random_checkpoint(tmp_path / "start", f"spleeter:{name}", *SMALL)
    parameters = SpleeterProgram().read(start, suffix="").parameters
    (tmp_path / "configuration.json").write_text(json.dumps(parameters))
    losses = trained(tmp_path / "configuration.json", start, tmp_path / "trained")
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])
    assert verified_db("spleeter", tmp_path / "trained", tmp_path) >= FLOOR_DB


def trained(configuration: Path, source: Path, target: Path) -> list[float]:
    command = [SpleeterProgram().python, "-m", "tests.full.spleeter_training"]
    done = subprocess.run(
        [*command, configuration, source, target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("hub") / "2stems", "spleeter:2stems", *SMALL)


def released(checkpoint: Path) -> Mapping[str, bytes]:
    """Spleeter's release, with this checkpoint in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(checkpoint.iterdir()):
            archive.add(path, arcname=path.name)
    index = {"2stems": hashlib.sha256(packed.getvalue()).hexdigest()}
    return {
        f"{RELEASE}/2stems.tar.gz": packed.getvalue(),
        f"{RELEASE}/checksum.json": json.dumps(index).encode(),
    }


def test_a_published_name_is_fetched_by_spleeters_own_loader(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkpoint / "provenance.json").unlink(missing_ok=True)
    with serving_files(released(checkpoint)) as address:
        monkeypatch.setenv("GITHUB_HOST", address)
        reference = LoadSpleeter(downloads=tmp_path)("2stems")
    assert reference.facts.provenance["published_as"] == "spleeter:2stems"
    assert not reference.facts.licences.noncommercial
    monkeypatch.setenv("GITHUB_HOST", NOBODY)
    again = LoadSpleeter(downloads=tmp_path)("2stems")
    assert again.facts.provenance == reference.facts.provenance


@pytest.mark.parametrize("name", ["2stems", "5stems"])
def test_without_a_network_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GITHUB_HOST", NOBODY)
    with pytest.raises(CheckpointError, match=r"could not fetch .* without a network, pass"):
        LoadSpleeter(downloads=tmp_path)(name)
    assert list(tmp_path.iterdir()) == []


Fault = Callable[[Path], None]


def cut_index(folder: Path) -> None:
    index = (folder / "model.index").read_bytes()
    (folder / "model.index").write_bytes(index[: len(index) // 2])


def damaged_data(folder: Path) -> None:
    path = folder / "model.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("fault", [cut_index, damaged_data])
def test_a_damaged_checkpoint_is_said_so(checkpoint: Path, tmp_path: Path, fault: Fault) -> None:
    shutil.copytree(checkpoint, tmp_path / "2stems")
    fault(tmp_path / "2stems")
    with pytest.raises(CheckpointError, match="truncated or damaged: fetch it again"):
        LoadSpleeter()(str(tmp_path / "2stems"))


def test_a_number_of_stems_that_spleeter_has_not_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    parameters = dict(SpleeterProgram().read(checkpoint, suffix="").parameters)
    parameters["instrument_list"] = ["vocals", "drums", "other"]
    configuration = tmp_path / "3stems.json"
    configuration.write_text(json.dumps(parameters))
    three = random_checkpoint(tmp_path / "3stems", str(configuration))
    with pytest.raises(CheckpointError, match="has 3 stems, and Spleeter ships no spleeter:3stems"):
        LoadSpleeter()(str(three))
