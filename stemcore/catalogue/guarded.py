"""The catalogue as the services may use it: parts folded into their bags, the policy applied."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stemcore.catalogue.policy import ModelPolicy
from stemcore.catalogue.port import MeasuredSpeed, ModelCatalogue, ServedModel


class GuardedCatalogue:
    """A ModelCatalogue of public models: what is part of a bag shows in that bag alone.

    A bag is ready when all its parts are, and refused where one is refused or is another model
    than the bag's card names.
    """

    def __init__(self, catalogue: ModelCatalogue, policy: ModelPolicy) -> None:
        self._catalogue = catalogue
        self._policy = policy

    async def models(self) -> tuple[ServedModel, ...]:
        """Those a client may choose from; raises Unavailable."""
        judged = [self._judged(model) for model in await self._catalogue.models()]
        by_name = {model.card.name: model for model in judged}
        return tuple(_whole(model, by_name) for model in judged if model.card.part_of is None)

    def _judged(self, model: ServedModel) -> ServedModel:
        refusal = model.refusal or self._policy.refusal_of(model.card)
        return model if refusal is None else replace(model, refusal=refusal)


def _whole(bag: ServedModel, by_name: Mapping[str, ServedModel]) -> ServedModel:
    if not bag.card.parts:
        return bag
    parts = {name: by_name.get(name) for name in bag.card.parts}
    found = [part for part in parts.values() if part is not None]
    complaints = [
        *([bag.refusal] if bag.refusal else []),
        *(f"{part.card.name}: {part.refusal}" for part in found if part.refusal),
        *_exchanged(bag, found),
    ]
    complete = len(found) == len(parts) and all(part.ready for part in found)
    return replace(
        bag,
        ready=bag.ready and complete,
        refusal=complaints[0] if complaints else None,
        speed=_together(found) if complete else None,
    )


def _together(parts: Sequence[ServedModel]) -> MeasuredSpeed | None:
    """Of one segment through every part."""
    speeds = [part.speed for part in parts if part.speed is not None]
    if not speeds or len(speeds) < len(parts):
        return None
    return MeasuredSpeed(
        segments=min(speed.segments for speed in speeds),
        seconds_per_segment=sum(speed.seconds_per_segment for speed in speeds),
    )


def _exchanged(bag: ServedModel, parts: Sequence[ServedModel]) -> list[str]:
    return [
        f"{part.card.name} is not the model that the card of {bag.card.name} names."
        for part in parts
        if part.card.digest != bag.card.parts[part.card.name]
    ]
