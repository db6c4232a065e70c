"""An engine that exporters.tensorrt_build made, as a model folder of the tensorrt backend."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from exporters.card_writer import ModelFolder, new_model_folder
from exporters.errors import ModelFolderError, ParityError
from exporters.mixed_precision.conversion import derived_card
from exporters.triton_config import PLAN_FILE
from stemcore.gpus import BUILT_BY_TENSORRT, BUILT_FOR_CAPABILITY, BUILT_FOR_GPU

ENGINE = "tensorrt"
FACTS = (BUILT_FOR_GPU, BUILT_FOR_CAPABILITY, BUILT_BY_TENSORRT)


def install_plan(
    source: ModelFolder, *, plan: Path, facts: Path, name: str, repository: Path
) -> ModelFolder:
    """Writes `repository/name`; the plan was built from the graph of `source`.

    Its card has the parity of that graph. Raises ModelFolderError or ParityError.
    """
    card = source.read_card()
    if not card.parity_passed:
        raise ParityError(f"{source.path} has no passed parity: verify it first")
    told = read_facts(facts)
    with new_model_folder(repository, name) as folder:
        copy = folder.model.with_name(PLAN_FILE)
        try:
            shutil.copyfile(plan, copy)
        except OSError as error:
            raise ModelFolderError(f"no plan at {plan}: {error.strerror}") from error
        derived = derived_card(card, name=name, profile="gpu-plan", model_file=copy)
        provenance = dict(derived.provenance) | dict(told)
        folder.write(dataclasses.replace(derived, engine=ENGINE, provenance=provenance), threads=0)
    return ModelFolder(repository / name)


def read_facts(path: Path) -> Mapping[str, str]:
    """What the plan was built for, and by. Raises ModelFolderError."""
    try:
        told = json.loads(path.read_text())
        return {name: str(told[name]) for name in FACTS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(
            f"{path} does not say what the plan was built for: {error}"
        ) from error
