import pytest
import torch
from demucs.htdemucs import HTDemucs

from exporters.htdemucs.fourier import Analysis, ForwardDft, InverseDft, Synthesis, radices
from exporters.parity import snr_db

SAMPLE_RATE = 44_100
LEAST_SNR_DB = 125.0


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def demucs(nfft: int) -> HTDemucs:
    return HTDemucs(["one"], channels=8, nfft=nfft, depth=1, t_layers=0)


@pytest.mark.parametrize(
    ("size", "factors"),
    [(4096, (64, 64)), (2048, (32, 64)), (512, (16, 32)), (36, (6, 6)), (4, (2, 2))],
)
def test_radices_are_balanced_and_the_second_is_even(size: int, factors: tuple[int, int]) -> None:
    assert radices(size) == factors


def test_an_odd_number_times_two_has_one_even_radix() -> None:
    first, second = radices(4 * 15 * 15)
    assert first * second == 900
    assert second % 2 == 0


@pytest.mark.parametrize("size", [4096, 2048, 900])
def test_forward_dft_is_the_windowed_transform(size: int) -> None:
    frames = noise(3, size)
    window = torch.hann_window(size, dtype=torch.float64) / size**0.5
    expected = torch.fft.rfft(frames.double() * window)[:, :-1]
    spectrum = ForwardDft(size)(frames)
    assert snr_db(expected.real.numpy(), spectrum[:, 0].numpy()) > LEAST_SNR_DB
    assert snr_db(expected.imag.numpy(), spectrum[:, 1].numpy()) > LEAST_SNR_DB


@pytest.mark.parametrize("size", [4096, 2048, 900])
def test_inverse_dft_is_the_windowed_inverse_with_an_empty_nyquist_bin(size: int) -> None:
    parts = noise(3, 2, size // 2)
    bins = torch.nn.functional.pad(
        torch.complex(parts[:, 0].double(), parts[:, 1].double()), (0, 1)
    )
    window = torch.hann_window(size, dtype=torch.float64) * size**0.5 / 1.5
    expected = torch.fft.irfft(bins) * window
    assert snr_db(expected.numpy(), InverseDft(size)(parts).numpy()) > LEAST_SNR_DB


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
