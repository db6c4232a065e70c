"""Models fetched by Demucs' own loader, from a server that stands in for both of its hubs."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from demucs import pretrained
from huggingface_hub import constants

from exporters.__main__ import main
from exporters.card_writer import ModelFolder
from exporters.errors import CheckpointError, ParityError
from exporters.htdemucs.checkpoint import load_checkpoint
from exporters.htdemucs.family import load_htdemucs, load_model_or_bag
from exporters.pull import install
from exporters.reference import BagReference
from exporters.registry import loader_of
from tests.exporters.htdemucs.bags import ONE_HOT, STEMS, write_model
from tests.exporters.htdemucs.packages import package_of
from tests.exporters.hub import serving_files

SIGNATURES = ("aaaa0000", "bbbb1111")
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("published")
    return [write_model(folder / f"{s}.safetensors", seed=n) for n, s in enumerate(SIGNATURES)]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub has nothing, Demucs' older place is unreachable; downloads stay with this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "ROOT_URL", f"{NOBODY}/")
    # A hub that does not answer at all is asked for 20 seconds.
    with serving_files({}) as empty:
        use_hub(monkeypatch, empty)
        yield


def use_hub(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """As HF_ENDPOINT does for a process of its own."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def hub_files(checkpoint: Path) -> Mapping[str, bytes]:
    """The repository of htdemucs on the hub."""
    definition = yaml.safe_dump({"models": [checkpoint.stem]}).encode()
    return {
        "/adefossez/HTDemucs/resolve/main/htdemucs.yaml": definition,
        f"/adefossez/HTDemucs/resolve/main/{checkpoint.name}": checkpoint.read_bytes(),
    }


def packaged(checkpoint: Path) -> bytes:
    """The same model as Demucs' older files hold it."""
    model = load_checkpoint(str(checkpoint), trust_pickle=False).model
    content = io.BytesIO()
    torch.save(package_of(model), content)
    return content.getvalue()


@contextmanager
def older_place(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    packages: Mapping[str, bytes],
    *,
    checksums: Mapping[str, str] | None = None,
    cut_bytes: int = 0,
) -> Iterator[None]:
    """Serves `packages`, by signature, as Demucs' list of files has them."""
    root.mkdir()
    known = {s: hashlib.sha256(content).hexdigest()[:8] for s, content in packages.items()}
    names = {s: f"{s}-{(checksums or known)[s]}.th" for s in packages}
    (root / "files.txt").write_text("\n".join(["root: some/", *names.values()]))
    weights = [list(row) for row in ONE_HOT]
    bag = {"models": list(packages), "weights": weights} if len(packages) > 1 else {}
    for name in ("htdemucs", "htdemucs_ft"):
        fields = bag or {"models": list(packages)}
        (root / f"{name}.yaml").write_text(yaml.safe_dump(fields))
    monkeypatch.setattr(pretrained, "REMOTE_ROOT", root)
    files = {f"/some/{names[s]}": content for s, content in packages.items()}
    with serving_files(files, cut_bytes=cut_bytes) as address:
        monkeypatch.setattr(pretrained, "ROOT_URL", f"{address}/")
        yield


def test_a_model_of_the_hub_is_exported_verified_and_installed(
    tmp_path: Path, checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_files(hub_files(checkpoints[0])) as address:
        use_hub(monkeypatch, address)
        assert main(["pull", "htdemucs", "--repository", str(tmp_path / "models")]) == 0
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["htdemucs"]
    card = ModelFolder(tmp_path / "models" / "htdemucs").read_card()
    assert card.parity_passed
    assert card.stem_names == STEMS
    assert card.licences.noncommercial
    assert card.provenance["checkpoint"] == "htdemucs"


def test_a_bag_comes_from_the_older_place_where_the_hub_has_none(
    tmp_path: Path, checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = {path.stem: packaged(path) for path in checkpoints}
    with older_place(tmp_path / "remote", monkeypatch, packages):
        reference = load_model_or_bag("htdemucs_ft")
    assert isinstance(reference, BagReference)
    assert tuple(reference.specialists) == STEMS


def test_a_wrong_checksum_is_refused(
    tmp_path: Path, checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = {"aaaa0000": packaged(checkpoints[0])}
    wrong = {"aaaa0000": "0badc0de"}
    with (
        older_place(tmp_path / "remote", monkeypatch, packages, checksums=wrong),
        pytest.raises(CheckpointError, match=r"'htdemucs' \(invalid hash value .*0badc0de"),
    ):
        load_model_or_bag("htdemucs")
    assert list((tmp_path / "torch").rglob("*.th")) == []


def test_a_download_that_breaks_off_is_refused_and_not_kept(
    tmp_path: Path, checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = {"aaaa0000": packaged(checkpoints[0])}
    with (
        older_place(tmp_path / "remote", monkeypatch, packages, cut_bytes=1000),
        pytest.raises(CheckpointError, match="could not fetch 'htdemucs'"),
    ):
        load_model_or_bag("htdemucs")
    assert list((tmp_path / "torch").rglob("*.th")) == []


def test_a_hub_that_breaks_off_is_refused(
    checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_files(hub_files(checkpoints[0]), cut_bytes=10) as address:
        use_hub(monkeypatch, address)
        with pytest.raises(CheckpointError, match="could not fetch 'htdemucs'"):
            load_model_or_bag("htdemucs")


def test_without_a_network_the_error_names_the_other_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "htdemucs_6s", "--repository", str(tmp_path / "models")]) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert "could not fetch 'htdemucs_6s'" in error
    assert "export htdemucs --checkpoint FILE --name htdemucs_6s" in error
    assert not (tmp_path / "models").exists()


def test_what_differs_from_its_reference_is_not_installed(
    tmp_path: Path, checkpoints: list[Path]
) -> None:
    mine, other = (load_htdemucs(str(path)) for path in checkpoints)
    wrong = dataclasses.replace(mine, graph=other.graph)
    with pytest.raises(ParityError, match="not installed: it differs from its reference"):
        install(wrong, name="wrong", repository=tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("model", ["open-unmix:large", "spleeter:4stems-8kHz"])
def test_a_family_that_nobody_knows_is_told_the_known_ones(model: str) -> None:
    with pytest.raises(CheckpointError, match="no family known here: htdemucs"):
        loader_of(model)


def test_spleeters_names_are_its_configurations() -> None:
    load, name = loader_of("spleeter:4stems-16kHz")
    assert (getattr(load, "family", None), name) == ("spleeter-16kHz", "4stems")
