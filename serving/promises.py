"""Whether a config makes Triton run what the card beside it promises."""

from collections.abc import Iterator, Mapping
from typing import Any

from serving.errors import ModelRefused, RefusalReason
from stemcore.model_card import ModelCard

INPUT = "mix"
LATEST_VERSION = -1
# A bag is planned once for all of its parts.
_PLAN = (
    "sample_rate",
    "channels",
    "segment_samples",
    "hop",
    "lead_in_samples",
    "tail_samples",
    "join",
    "weights",
    "normalisation",
    "output_precision",
    "max_batch_size",
)


def check(config: Any, card: ModelCard) -> None:
    """Raises ModelRefused where names, shapes or batches differ: one was edited by hand."""
    if differences := list(_differences(config, card)):
        detail = f"card and config.pbtxt differ in {'; '.join(differences)}: export it again"
        raise ModelRefused(RefusalReason.CONFIG_DIFFERS, detail)


def check_bag(config: Any, card: ModelCard, *, parts: Mapping[str, ModelCard]) -> None:
    """Raises ModelRefused unless the ensemble runs these very parts, as the bag's card has it."""
    if _steps(config) != _promised_steps(card):
        detail = "the steps in config.pbtxt are not the parts on the card: export the bag again"
        raise ModelRefused(RefusalReason.CONFIG_DIFFERS, detail)
    for name, part in parts.items():
        if complaints := list(_complaints(card, part)):
            detail = f"its part {name} {'; '.join(complaints)}: export the bag again, whole"
            raise ModelRefused(RefusalReason.PART_DIFFERS, detail)


def _differences(config: Any, card: ModelCard) -> Iterator[str]:
    if config.name and config.name != card.name:
        yield f"the name ({card.name!r}, {config.name!r})"
    if config.max_batch_size != card.max_batch_size:
        yield f"max_batch_size ({card.max_batch_size}, {config.max_batch_size})"
    shape = [card.channels, card.segment_samples]
    inputs = {tensor.name: list(tensor.dims) for tensor in config.input}
    if inputs != {INPUT: shape}:
        yield f"the input ({ {INPUT: shape} }, {inputs})"
    outputs = {tensor.name: list(tensor.dims) for tensor in config.output}
    # A bag gives its stems by their public names.
    names = card.stem_names if card.parts else [source.output for source in card.stems]
    if outputs != dict.fromkeys(names, shape):
        yield f"the outputs ({dict.fromkeys(names, shape)}, {outputs})"


def _steps(config: Any) -> list[Any]:
    return sorted(
        (
            step.model_name,
            step.model_version,
            dict(step.input_map),
            sorted(step.output_map.items()),
        )
        for step in config.ensemble_scheduling.step
    )


def _promised_steps(card: ModelCard) -> list[Any]:
    return sorted(
        (
            part,
            LATEST_VERSION,
            {INPUT: INPUT},
            sorted((source.output, source.stem) for source in card.stems if source.model == part),
        )
        for part in card.parts
    )


def _complaints(bag: ModelCard, part: ModelCard) -> Iterator[str]:
    if part.part_of != bag.name:
        yield f"says that it is part of {part.part_of!r}"
    if part.digest != bag.parts[part.name]:
        yield f"has digest {part.digest}, the bag's card says {bag.parts[part.name]}"
    if differing := [field for field in _PLAN if getattr(part, field) != getattr(bag, field)]:
        yield f"has another {', '.join(differing)}"
    wanted = {source.output for source in bag.stems if source.model == part.name}
    if wanted - {source.output for source in part.stems}:
        yield f"does not give {', '.join(sorted(wanted))}"
