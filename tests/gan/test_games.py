import torch

from synthgan.gan.games import Score
from tests.gan.tables import seeded

W = torch.tensor([3.0, 4.0])


def test_the_gradient_of_a_score_is_that_of_its_whole_pack():
    rows = torch.randn(6, 2, generator=seeded())
    score = Score(lambda x: (x @ W).square().reshape(2, 3).sum(dim=1), pac_size=3)
    expected = (2 * (rows @ W)[:, None] * W).reshape(2, 6)
    torch.testing.assert_close(score.gradient(rows), expected)


def test_a_closed_form_is_taken_where_there_is_one():
    score = Score(lambda x: x @ W, closed_form=lambda x: W.expand_as(x))
    assert score.gradient(torch.zeros(2, 2)).tolist() == [[3, 4], [3, 4]]
    assert not score.gradient(torch.zeros(2, 2)).requires_grad
