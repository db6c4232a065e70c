import json
from pathlib import Path

from stemyard.stack.triton import refusals

REFUSED = {"event": "model_refused", "model": "a", "reason": "digest_differs", "detail": "other"}
STARTING = {"event": "server_starting"}
FAILED = "E 7 model_lifecycle.cc:642] \"failed to load 'b' version 1: Internal: no graph\""


def written(path: Path, *lines: object) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts))
    return path


def test_both_kinds_of_missing_models_are_named(tmp_path: Path) -> None:
    log = written(tmp_path / "triton.log", REFUSED, STARTING, FAILED, "I loading c")
    assert refusals(log) == ("a was refused, digest_differs: other", FAILED)


def test_what_an_earlier_start_complained_of_is_past(tmp_path: Path) -> None:
    log = written(tmp_path / "triton.log", REFUSED, STARTING, FAILED, STARTING, "I loading a")
    assert refusals(log) == ()


def test_a_log_without_a_start_names_nothing(tmp_path: Path) -> None:
    assert refusals(written(tmp_path / "triton.log", "Traceback")) == ()
