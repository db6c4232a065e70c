from pathlib import Path

import pytest

from serving.errors import ModelRefused, RefusalReason
from serving.inspection import model_names, verify
from tests.serving.small_models import GAINS, rewrite, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path, "gains")


def refusal(model: Path) -> RefusalReason:
    with pytest.raises(ModelRefused) as refused:
        verify(model)
    return refused.value.reason


def test_a_model_that_is_what_its_card_says_is_verified(model: Path) -> None:
    verified = verify(model)
    assert verified.name == "gains"
    assert verified.config.max_batch_size == 1
    assert verified.card.stem_names == tuple(GAINS)


def test_one_changed_byte_is_refused(model: Path) -> None:
    path = model / "1" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert refusal(model) is RefusalReason.DIGEST_DIFFERS


def test_a_missing_file_is_refused(model: Path) -> None:
    (model / "1" / "model.onnx").unlink()
    assert refusal(model) is RefusalReason.FILE_MISSING


def test_a_model_without_config_is_refused(model: Path) -> None:
    (model / "config.pbtxt").unlink()
    assert refusal(model) is RefusalReason.CONFIG_MISSING


def test_an_unreadable_config_is_refused(model: Path) -> None:
    (model / "config.pbtxt").write_text("name: [")
    assert refusal(model) is RefusalReason.CONFIG_UNREADABLE


def test_a_config_of_another_name_is_refused(model: Path) -> None:
    assert refusal(model.rename(model.with_name("other"))) is RefusalReason.NAME_DIFFERS


def test_a_backend_that_runs_code_is_refused(model: Path) -> None:
    rewrite(model / "config.pbtxt", lambda text: text.replace('"onnxruntime"', '"python"', 1))
    assert refusal(model) is RefusalReason.BACKEND_NOT_ALLOWED


def test_a_model_without_card_is_refused(model: Path) -> None:
    (model / "card.json").unlink()
    assert refusal(model) is RefusalReason.CARD_MISSING


def test_a_config_without_card_is_refused(model: Path) -> None:
    rewrite(model / "config.pbtxt", lambda text: text.replace('key: "card"', 'key: "note"'))
    assert refusal(model) is RefusalReason.CARD_MISSING


def test_an_unreadable_card_is_refused(model: Path) -> None:
    rewrite(model / "card.json", lambda text: text.replace("schema_version", "schema"))
    assert refusal(model) is RefusalReason.CARD_UNREADABLE


def test_two_cards_that_disagree_are_refused(model: Path) -> None:
    rewrite(model / "card.json", lambda text: text.replace('"overlap":0.25', '"overlap":0.5'))
    assert refusal(model) is RefusalReason.CARDS_DIFFER


@pytest.mark.parametrize("path", ["../gains/1/model.onnx", "/etc/hostname"])
def test_a_card_that_points_outside_its_model_is_refused(model: Path, path: str) -> None:
    for name in ("card.json", "config.pbtxt"):
        rewrite(model / name, lambda text: text.replace("1/model.onnx", path))
    assert refusal(model) is RefusalReason.FILE_OUTSIDE_MODEL


def test_a_card_without_a_numbered_version_is_refused(model: Path) -> None:
    (model / "1").rename(model / "one")
    for name in ("card.json", "config.pbtxt"):
        rewrite(model / name, lambda text: text.replace("1/model.onnx", "one/model.onnx"))
    assert refusal(model) is RefusalReason.VERSION_MISSING


def test_the_models_of_a_repository_are_the_folders_with_a_config(tmp_path: Path) -> None:
    write_model(tmp_path, "b")
    write_model(tmp_path, "a")
    write_model(tmp_path, "c").rename(tmp_path / ".c.in-the-making")
    (tmp_path / "notes").mkdir()
    assert model_names(tmp_path) == ("a", "b")
    assert model_names(tmp_path / "absent") == ()
