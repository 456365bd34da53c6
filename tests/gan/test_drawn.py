import torch

from synthgan.gan.drawn import Drawn


def block(n_rows):
    """Rows of one context, one column with alpha of two."""
    return Drawn(torch.zeros(1, 3), torch.zeros(n_rows, 1), 2)


def test_rows_of_equal_keys_share_a_context():
    drawn = block(6)
    first = drawn.split(drawn.context, torch.tensor([7, 9, 7, 7, 9, 7]))
    assert drawn.embedded.shape == (2, 3)
    assert drawn.context.tolist() == [0, 1, 0, 0, 1, 0]
    assert torch.tensor([7, 9, 7, 7, 9, 7])[first].tolist() == [7, 9]


def test_each_context_has_the_codes_of_its_rows():
    drawn = block(4)
    drawn.codes[:, 0] = torch.tensor([5, 6, 5, 5])
    drawn.split(drawn.context, drawn.codes[:, 0])
    assert drawn.codes_of_contexts(slice(None))[:, 0].tolist() == [5, 6]
    drawn.context = None
    assert drawn.codes_of_contexts(torch.tensor([3, 1]))[:, 0].tolist() == [5, 6]


def test_where_few_rows_are_alike_each_has_its_own_context():
    drawn = block(3)
    drawn.embedded += 5
    assert drawn.split(drawn.context, torch.tensor([1, 2, 2])) == slice(None)
    assert drawn.context is None
    assert drawn.embedded.tolist() == [[5.0] * 3] * 3
    assert drawn.of_rows(torch.tensor([1, 2, 3])).tolist() == [1, 2, 3]


def test_a_draw_becomes_the_chosen_rows_of_another():
    drawn = block(2)
    drawn.codes[:, 0] = torch.tensor([3, 4])
    trial = drawn.repeated(2)
    assert trial.codes[:, 0].tolist() == [3, 3, 4, 4]
    trial.codes[:, 1] = torch.tensor([10, 11, 12, 13])
    trial.coarse = [1]
    drawn.take(trial, torch.tensor([1, 2]))
    assert drawn.codes.tolist() == [[3, 11], [4, 12]]
    assert drawn.coarse == [1]
    assert drawn.of_rows(drawn.embedded).shape == (2, 3)


def test_only_hidden_cells_are_written():
    drawn = block(3)
    assert drawn.pending([0]) == slice(None)
    drawn.hidden = torch.tensor([[True, False], [False, False], [True, True]])
    assert drawn.pending([0, 1]).tolist() == [0, 2]
    rows, mine = drawn.to_write(1, drawn.pending([0, 1]))
    assert rows.tolist() == [2]
    assert mine.tolist() == [False, True]


def test_rows_drawn_apart_are_copies_without_shared_contexts():
    drawn = Drawn(torch.zeros(1, 2), torch.rand(4, 1), 3)
    drawn.codes[:] = torch.arange(12).view(4, 3)
    apart = drawn.apart(torch.tensor([3, 1]))
    assert apart.context is None
    assert apart.codes.tolist() == [[9, 10, 11], [3, 4, 5]]
    assert torch.equal(apart.places, drawn.places[[3, 1]])
    apart.codes[:], apart.cells[:], apart.places[:] = -1, -1, -1
    assert (drawn.codes >= 0).all()
    assert (drawn.cells >= 0).all()
    assert (drawn.places >= 0).all()
