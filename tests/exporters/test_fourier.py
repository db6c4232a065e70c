import pytest
import torch

from exporters.fourier import ForwardDft, InverseDft, radices
from exporters.parity import snr_db

LEAST_SNR_DB = 125.0


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


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
    window = torch.hann_window(size, dtype=torch.float64)
    expected = torch.fft.rfft(frames.double() * window)[:, :-1]
    spectrum = ForwardDft(size, bins=size // 2, window=window)(frames)
    assert snr_db(expected.real.numpy(), spectrum[:, 0].numpy()) > LEAST_SNR_DB
    assert snr_db(expected.imag.numpy(), spectrum[:, 1].numpy()) > LEAST_SNR_DB


@pytest.mark.parametrize("size", [4096, 2048, 900])
def test_inverse_dft_is_the_windowed_inverse_with_an_empty_nyquist_bin(size: int) -> None:
    parts = noise(3, 2, size // 2)
    bins = torch.nn.functional.pad(
        torch.complex(parts[:, 0].double(), parts[:, 1].double()), (0, 1)
    )
    window = torch.hann_window(size, dtype=torch.float64)
    expected = torch.fft.irfft(bins, norm="forward") * window
    assert (
        snr_db(expected.numpy(), InverseDft(size, bins=size // 2, window=window)(parts).numpy())
        > LEAST_SNR_DB
    )


@pytest.mark.parametrize("bins", [1024, 1536])
def test_the_lowest_bins_alone_are_those_of_the_whole_transform(bins: int) -> None:
    frames, window = noise(3, 4096), torch.hann_window(4096)
    whole = ForwardDft(4096, bins=2048, window=window)(frames)
    lowest = ForwardDft(4096, bins=bins, window=window)(frames)
    assert snr_db(whole[..., :bins].numpy(), lowest.numpy()) > LEAST_SNR_DB
    silent_above = torch.nn.functional.pad(lowest, (0, 2048 - bins))
    expected = InverseDft(4096, bins=2048, window=window)(silent_above)
    back = InverseDft(4096, bins=bins, window=window)(lowest)
    assert snr_db(expected.numpy(), back.numpy()) > LEAST_SNR_DB


def test_bins_that_end_within_a_row_are_refused() -> None:
    with pytest.raises(ValueError, match="1000 bins"):
        ForwardDft(4096, bins=1000, window=torch.hann_window(4096))
