"""A model whose stems are the mix times a gain each, and its card."""

from stemcore.model_card import Licences, ModelCard, ParityFigure, StemSource

GAINS = {"drums": 0.5, "bass": 0.25, "other": 0.25}
SEGMENT_SAMPLES = 22_050


def gain_card(
    name: str = "gains", *, digest: str = "0" * 64, segment_samples: int = SEGMENT_SAMPLES
) -> ModelCard:
    """A card that may be used; the digest is that of the model's file."""
    return ModelCard(
        name=name,
        description="The mix times a gain per stem.",
        family="test",
        stems=tuple(StemSource(stem=stem, model=name, output=stem) for stem in GAINS),
        sample_rate=44_100,
        segment_samples=segment_samples,
        parameters=len(GAINS),
        files={"1/model.onnx": digest},
        parity=(
            ParityFigure(
                step="definition",
                signal="any",
                worst_stem="drums",
                passed=True,
                snr_db=200.0,
                required_db=100.0,
            ),
        ),
        licences=Licences(code="MIT", weights="none", noncommercial=False),
    )
