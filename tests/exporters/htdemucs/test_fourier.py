import pytest
import torch
from demucs.htdemucs import HTDemucs

from exporters.htdemucs.fourier import Analysis, Synthesis
from exporters.parity import snr_db

LEAST_SNR_DB = 125.0


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def demucs(nfft: int) -> HTDemucs:
    return HTDemucs(["one"], channels=8, nfft=nfft, depth=1, t_layers=0)


@pytest.mark.parametrize("nfft", [4096, 1024])
@pytest.mark.parametrize("samples", [20_000, 20_480, 20_481])
def test_analysis_is_the_spectrogram_of_demucs(nfft: int, samples: int) -> None:
    signal = noise(2, 2, samples)
    expected = torch.view_as_real(demucs(nfft)._spec(signal)).permute(0, 1, 4, 2, 3)
    assert snr_db(expected.numpy(), Analysis(nfft=nfft)(signal).numpy()) > LEAST_SNR_DB


@pytest.mark.parametrize("nfft", [4096, 1024])
@pytest.mark.parametrize("samples", [20_000, 20_480, 20_481])
def test_synthesis_is_the_inverse_of_demucs(nfft: int, samples: int) -> None:
    parts = noise(1, 3, 2, 2, nfft // 2, -(-samples // (nfft // 4)))
    bins = torch.view_as_complex(parts.permute(0, 1, 2, 4, 5, 3).contiguous())
    expected = demucs(nfft)._ispec(bins, samples)
    stems = Synthesis(nfft=nfft)(parts, length=samples)
    assert stems.shape == (1, 3, 2, samples)
    assert snr_db(expected.numpy(), stems.numpy()) > LEAST_SNR_DB
