"""Model cards for catalogues that need no server."""

from stemcore.model_card import Licences, ModelCard, ParityFigure, StemSource

DEMUCS_STEMS = ("drums", "bass", "other", "vocals")


def make_card(name: str, *, stems: tuple[str, ...] = DEMUCS_STEMS) -> ModelCard:
    return ModelCard(
        name=name,
        description="a card for tests",
        family="htdemucs",
        stems=tuple(StemSource(stem=stem, model=name, output=stem) for stem in stems),
        sample_rate=44_100,
        segment_samples=343_980,
        parameters=1_000,
        files={"1/model.onnx": "a" * 64},
        parity=(
            ParityFigure(
                step="engine",
                signal="click",
                worst_stem=stems[0],
                snr_db=101.5,
                required_db=95.0,
                passed=True,
            ),
        ),
        licences=Licences(code="MIT", weights="MIT", noncommercial=False),
        provenance={"torch": "2.15"},
    )
