import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from synthgan.gan.categorical import inverse_cdf, offsets_to_match
from tests.gan.tables import seeded

FAILURE_RATE = 1e-6  # of each chi-squared test, were its seed not fixed
LOGITS = st.lists(st.sampled_from([-np.inf, -30.0]) | st.floats(-9, 9, width=32), min_size=1, max_size=12)
UNIFORM = st.floats(0, 1 - 2**-24, width=32)


@given(LOGITS.filter(lambda logits: max(logits) > -9), st.lists(UNIFORM | st.just(1 - 2**-24), min_size=1))
def test_a_draw_inverts_the_cumulative_distribution(logits, uniform):
    drawn = inverse_cdf(
        torch.tensor([logits]), torch.tensor(uniform), torch.zeros(len(uniform), dtype=torch.int64)
    )
    mass = np.exp(np.array(logits) - max(logits))
    cumulative = np.concatenate([[0], mass.cumsum()])
    for u, k in zip(uniform, drawn.tolist(), strict=True):
        assert mass[k] > 0
        assert cumulative[k] <= u * cumulative[-1] * (1 + 1e-5) + 1e-9
        assert u * cumulative[-1] <= cumulative[k + 1] * (1 + 1e-5) + 1e-9


def test_draws_are_those_of_numpy():
    logits = torch.randn(50, 7, generator=seeded()).double()
    uniform = torch.rand(50, generator=seeded(1)).double()
    cumulative = logits.softmax(dim=1).cumsum(dim=1).numpy()
    expected = [
        np.searchsorted(row, u, side="right") for row, u in zip(cumulative, uniform.numpy(), strict=True)
    ]
    assert inverse_cdf(logits, uniform).tolist() == expected


def test_draws_of_a_context_use_its_row():
    logits = torch.tensor([[0.0, -torch.inf, -torch.inf], [-torch.inf, -torch.inf, 0.0]])
    context = torch.tensor([1, 0, 0, 1])
    drawn = inverse_cdf(logits, torch.tensor([0.0, 0.0, 0.999, 0.999]), context)
    assert drawn.tolist() == [2, 0, 0, 2]


def test_draws_come_at_their_probabilities_and_never_at_none():
    logits = torch.tensor([[0.5, -torch.inf, 2.0, -1.0, -30.0]])
    uniform = torch.rand(20_000, generator=seeded())
    counts = inverse_cdf(logits, uniform, torch.zeros(20_000, dtype=torch.int64)).bincount(minlength=5)
    assert counts[1] == counts[4] == 0
    expected = logits[0, [0, 2, 3]].double().softmax(0) * 20_000
    assert stats.chisquare(counts[[0, 2, 3]].numpy(), expected.numpy()).pvalue > FAILURE_RATE


def test_a_draw_leaves_the_logits_alone_and_stays_in_range():
    logits = torch.full((2, 4), -90.0)
    before = logits.clone()
    assert inverse_cdf(logits, torch.tensor([0.0, 1.0])).tolist() == [0, 3]
    assert torch.equal(logits, before)


@pytest.mark.parametrize("share", [None, [0.75, 0.25]])
def test_offsets_move_the_mean_probabilities_of_the_contexts_to_frequencies(share):
    logits = torch.tensor([[0.0, 1.0, -2.0], [3.0, 0.0, 0.5]])
    frequency = torch.tensor([0.2, 0.5, 0.3])
    weight = torch.tensor([0.5, 0.5] if share is None else share)
    offsets = offsets_to_match(logits, frequency, None if share is None else weight)
    torch.testing.assert_close(weight @ (logits + offsets).softmax(dim=1), frequency, rtol=0, atol=0.01)
