import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from exporters.htdemucs.reductions import (
    LARGEST_STAGE,
    StagedReductions,
    deviation_of_examples,
    group_norm,
    mean_of_examples,
    stage_sizes,
    staged_mean,
)

PRIME = 1_000_003


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5)) + 3.0


@pytest.mark.parametrize("count", [1, 4096, 4097, 343_980, PRIME, 2 * 499_979, 1_376_256])
def test_stages_hold_all_values_and_stay_short(count: int) -> None:
    rows, columns = stage_sizes(count)
    assert rows * columns >= count
    assert max(rows, columns) <= LARGEST_STAGE
    assert rows * columns - count < columns


@pytest.mark.parametrize("count", [100, 343_980, PRIME])
def test_a_staged_mean_is_the_mean(count: int) -> None:
    data = values(2, 3, count)
    expected = data.double().mean(-1, keepdim=True)
    torch.testing.assert_close(staged_mean(data).double(), expected, rtol=1e-6, atol=0)


def test_moments_of_examples_are_those_of_torch() -> None:
    data = values(2, 4, 16, 4099)
    dims = (1, 2, 3)
    mean, deviation = mean_of_examples(data), deviation_of_examples(data)
    torch.testing.assert_close(mean, data.double().mean(dims, keepdim=True).float())
    torch.testing.assert_close(deviation, data.double().std(dims, keepdim=True).float())


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("affine", [True, False])
def test_a_staged_group_norm_is_that_of_torch(groups: int, affine: bool) -> None:
    data = values(3, 8, 5000)
    weight, bias = (values(8), values(8)) if affine else (None, None)
    expected = F.group_norm(data, groups, weight, bias, 1e-5)
    torch.testing.assert_close(group_norm(data, groups, weight, bias, 1e-5), expected)


def test_while_active_the_mode_replaces_what_a_model_calls() -> None:
    data = values(2, 4, 90_001)
    norm = torch.nn.GroupNorm(2, 4)
    plain = norm(data), data.mean(dim=(1, 2), keepdim=True), data.std(dim=(1, 2), keepdim=True)
    staged = (
        group_norm(data, 2, norm.weight, norm.bias, norm.eps),
        mean_of_examples(data),
        deviation_of_examples(data),
    )
    with StagedReductions():
        inside = norm(data), data.mean(dim=(1, 2), keepdim=True), data.std(dim=(1, 2), keepdim=True)
    assert all(torch.equal(a, b) for a, b in zip(inside, staged, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(inside, plain, strict=True))


def test_other_means_stay_as_they_are() -> None:
    data = values(2, 4, 9000)
    with StagedReductions():
        inside = data.mean(dim=(0, 1, 2)), data.mean(-1), data.std(dim=1)
    outside = data.mean(dim=(0, 1, 2)), data.mean(-1), data.std(dim=1)
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))
