"""The trained model as a separator, run the way Demucs' own Separator runs it."""

import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs

from synthesis.signal import Signal
from training.yardsticks import Stems


class TrainedModel:
    """Whole songs, cut into segments and joined by Demucs' own loop, without random shifts."""

    def __init__(self, model: HTDemucs) -> None:
        self._model = model.eval()

    def separate(self, mix: Signal, *, truth: Stems) -> Stems:
        """Estimates of the stems; `truth` is ignored."""
        del truth
        audio = torch.from_numpy(mix)
        mono = audio.mean(dim=0)
        centre, scale = mono.mean(), mono.std() + 1e-8
        normalised = (audio - centre) / scale
        with torch.no_grad():
            estimates = apply_model(
                self._model, normalised[None], shifts=0, split=True, overlap=0.25
            )[0]
        restored = (estimates * scale + centre).numpy()
        return dict(zip(self._model.sources, restored, strict=True))
