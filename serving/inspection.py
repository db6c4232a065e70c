"""Whether a model in the repository is what its card says it is."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from serving import promises
from serving.errors import ModelRefused, RefusalReason
from stemcore.model_card import CARD_PARAMETER, CardError, ModelCard

# Never "python": a model of that backend is code, which no card vouches for.
ALLOWED_BACKENDS = frozenset({"onnxruntime", "openvino", "tensorrt"})
# What Triton itself runs: a bag's config names its parts and no file.
ENSEMBLE = "ensemble"
CONFIG_FILE = "config.pbtxt"

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedModel:
    """A model whose files have the digests on its card. `config` is a Triton ModelConfig.

    `parts` are those of a bag, which runs nothing itself.
    """

    name: str
    directory: Path
    config: Any
    card: ModelCard
    parts: tuple["VerifiedModel", ...] = ()


def model_names(repository: Path) -> tuple[str, ...]:
    """Every folder of the repository that wants to be a model, by name.

    Those that begin with a dot are models in the making.
    """
    if not repository.is_dir():
        return ()
    names = (path.parent.name for path in repository.glob(f"*/{CONFIG_FILE}"))
    return tuple(sorted(name for name in names if not name.startswith(".")))


def bag_of(directory: Path) -> str | None:
    """The bag that a model is part of; None also where its card is unreadable: verify says why."""
    try:
        return _read_card(directory, _read_config(directory)).part_of
    except ModelRefused:
        return None


def verify(directory: Path) -> VerifiedModel:
    """Raises ModelRefused unless config, card and every file of the model agree.

    The parts of a bag are looked for beside it; it is refused with any of them.
    """
    config = _read_config(directory)
    card = _read_card(directory, config)
    promises.check(config, card)
    if config.platform == ENSEMBLE:
        return _verify_bag(directory, config, card)
    for path, digest in card.files.items():
        _check_file(directory, path=path, digest=digest)
    if not any(PurePosixPath(path).parts[0].isdigit() for path in card.files):
        raise ModelRefused(RefusalReason.VERSION_MISSING, "the card lists no numbered version")
    return VerifiedModel(name=directory.name, directory=directory, config=config, card=card)


def _verify_bag(directory: Path, config: Any, card: ModelCard) -> VerifiedModel:
    if not card.parts:
        raise ModelRefused(RefusalReason.CONFIG_DIFFERS, "an ensemble whose card names no parts")
    parts = tuple(_verify_part(directory.parent, name) for name in card.parts)
    promises.check_bag(config, card, parts={part.name: part.card for part in parts})
    return VerifiedModel(
        name=directory.name, directory=directory, config=config, card=card, parts=parts
    )


def _verify_part(repository: Path, name: str) -> VerifiedModel:
    try:
        _refuse_as_part(repository, name)
        return verify(repository / name)
    except ModelRefused as refusal:
        detail = f"its part {name} was refused, {refusal.reason.value}: {refusal}"
        raise ModelRefused(RefusalReason.PART_REFUSED, detail) from refusal


def _refuse_as_part(repository: Path, name: str) -> None:
    if PurePosixPath(name).parts != (name,):
        raise ModelRefused(RefusalReason.FILE_OUTSIDE_MODEL, f"{name!r} is no name of a model")
    if _read_config(repository / name).platform == ENSEMBLE:
        raise ModelRefused(RefusalReason.PART_DIFFERS, "a bag cannot be part of a bag")


def new_config() -> Any:
    """An empty ModelConfig; protobuf builds its classes at run time, unseen by type checkers."""
    return getattr(model_config_pb2, "ModelConfig")()  # noqa: B009


def copied(config: Any) -> Any:
    """Another ModelConfig of the same content, to be changed."""
    copy = new_config()
    copy.CopyFrom(config)
    return copy


def _read_config(directory: Path) -> Any:
    try:
        text = (directory / CONFIG_FILE).read_text()
    except OSError as error:
        raise ModelRefused(RefusalReason.CONFIG_MISSING, f"no config.pbtxt: {error}") from error
    config = new_config()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise ModelRefused(RefusalReason.CONFIG_UNREADABLE, str(error)) from error
    if config.name and config.name != directory.name:
        detail = f"config.pbtxt names {config.name!r}, the folder is {directory.name!r}"
        raise ModelRefused(RefusalReason.NAME_DIFFERS, detail)
    bag = config.platform == ENSEMBLE and not config.backend
    if not bag and config.backend not in ALLOWED_BACKENDS:
        detail = f"backend {config.backend!r} is none of {', '.join(sorted(ALLOWED_BACKENDS))}"
        raise ModelRefused(RefusalReason.BACKEND_NOT_ALLOWED, detail)
    return config


def _read_card(directory: Path, config: Any) -> ModelCard:
    if CARD_PARAMETER not in config.parameters:
        raise ModelRefused(RefusalReason.CARD_MISSING, "config.pbtxt has no parameter 'card'")
    try:
        served = ModelCard.from_json(config.parameters[CARD_PARAMETER].string_value)
        beside = ModelCard.from_json((directory / "card.json").read_text())
    except CardError as error:
        raise ModelRefused(RefusalReason.CARD_UNREADABLE, str(error)) from error
    except OSError as error:
        raise ModelRefused(RefusalReason.CARD_MISSING, f"no card.json: {error}") from error
    if served != beside:
        detail = "card.json is not the card in config.pbtxt"
        raise ModelRefused(RefusalReason.CARDS_DIFFER, detail)
    return served


def _check_file(directory: Path, *, path: str, digest: str) -> None:
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise ModelRefused(RefusalReason.FILE_OUTSIDE_MODEL, f"the card lists {path!r}")
    try:
        actual = _sha256(directory / relative)
    except OSError as error:
        raise ModelRefused(RefusalReason.FILE_MISSING, f"{path}: {error.strerror}") from error
    if actual != digest:
        detail = f"{path} has sha256 {actual}, its card says {digest}"
        raise ModelRefused(RefusalReason.DIGEST_DIFFERS, detail)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            yield block
