"""The architecture of htdemucs_6s, small: six stems, and no channels of its own in the middle."""

from pathlib import Path

from exporters.__main__ import main
from exporters.card_writer import ModelFolder
from exporters.htdemucs.random_weights import SIX_SOURCES
from tests.exporters.htdemucs.bags import write_model


def test_six_stems_are_exported_and_verified(tmp_path: Path) -> None:
    checkpoint = write_model(
        tmp_path / "six.safetensors", seed=6, sources=list(SIX_SOURCES), bottom_channels=0
    )
    where = ["--repository", str(tmp_path / "models"), "--checkpoint", str(checkpoint)]
    assert main(["export", "htdemucs", "--name", "six", *where]) == 0
    assert main(["verify", "six", *where]) == 0
    card = ModelFolder(tmp_path / "models" / "six").read_card()
    assert card.stem_names == ("drums", "bass", "other", "vocals", "guitar", "piano")
    assert card.parity_passed
