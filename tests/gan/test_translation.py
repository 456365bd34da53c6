import math

import pytest
import torch
from torch import nn

from synthgan.gan.run import Run
from synthgan.gan.translation import (
    CycleGAN,
    Mapping,
    Pairs,
    RowForm,
    TranslationPlan,
    UnpairedRows,
    train_cycle_gan,
)

FORM = RowForm(2, (2, 3), 1)
PLAN = {"n_steps": 6, "batch_size": 16, "loss": "wgan-gp", "n_critic": 2, "gradient_penalty": 10.0}
PLAN |= {"penalty_interval": 2, "cycle_weight": 1.0, "identity_weight": 0.5, "movement_weight": 0.1}
PLAN |= {"generator_lr": 1e-2, "critic_lr": 1e-2, "max_seconds": None}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(n, seed=0, shift=0.0):
    rng = seeded(seed)
    codes = torch.stack([torch.randint(size, (n,), generator=rng) for size in FORM.sizes], dim=1)
    kept = torch.randint(2, (n, 1), generator=rng).float()
    return UnpairedRows(torch.randn(n, 2, generator=rng) + shift, codes, kept)


def network(seed=0):
    return CycleGAN(FORM, hidden_dim=16, n_blocks=1, rng=seeded(seed))


def trained(plan, seed=0):
    cycle_gan, source, target = network(), rows(40), rows(50, 1, shift=1.0)
    run = Run(cycle_gan, seed)
    pairs = Pairs(*(table.kept[:, 0].long() for table in (source, target)))
    train_cycle_gan(cycle_gan, source, target, pairs, TranslationPlan(**PLAN | plan), run)
    return cycle_gan, run.history


class TestRowForm:
    def test_vectors_and_back(self):
        some = rows(20)
        vectors = FORM.vectors(some)
        assert vectors.shape == (20, FORM.width)
        scores, codes = FORM.decide(vectors, 1.0, seeded())
        assert torch.equal(scores, some.scores)
        assert torch.equal(codes, some.codes)
        assert torch.equal(FORM.parts(vectors)[-1], some.kept)

    def test_rows_without_categories_or_without_scores(self):
        for form in (RowForm(2, (), 0), RowForm(0, (3,), 0)):
            some = UnpairedRows(
                torch.ones(4, form.n_scores),
                torch.ones(4, len(form.sizes), dtype=torch.int64),
                torch.zeros(4, 0),
            )
            vectors = form.vectors(some)
            assert [part.shape for part in form.decide(vectors, 0.5, seeded())] == [
                some.scores.shape,
                some.codes.shape,
            ]
            assert float(form.distance(vectors * 1000, vectors * 1.0)) >= 0

    def test_draws_are_one_hot_and_follow_the_softmax(self):
        logits = torch.tensor([0.0, math.log(3.0)])
        form = RowForm(1, (2,), 1)
        raw = torch.cat([torch.tensor([7.0]), logits, torch.tensor([5.0])]).expand(20_000, -1)
        drawn = form.draw(raw, seeded())
        scores, hot, kept = form.parts(drawn)
        assert (scores == 7).all()
        assert (kept == 5).all()
        assert torch.equal(hot.sum(dim=1), torch.ones(20_000))
        # 15,000 expected; standard deviation 61
        assert abs(int(hot[:, 1].sum()) - 15_000) < 6 * 61

    def test_codes_of_little_chance_are_left_out(self):
        form = RowForm(0, (3,), 0)
        raw = torch.tensor([[0.6, 0.3, 0.1]]).log().expand(20_000, 3)
        shares = []
        for least in (0.0, 0.2, 0.5, 1.0):
            codes = form.decide(raw, least, seeded())[1][:, 0]
            shares.append(torch.bincount(codes, minlength=3) / 20_000)
        wanted = [[0.6, 0.3, 0.1], [2 / 3, 1 / 3, 0], [1, 0, 0], [1, 0, 0]]
        torch.testing.assert_close(torch.stack(shares), torch.tensor(wanted), atol=0.02, rtol=0)

    def test_gradients_pass_through_draws(self):
        raw = FORM.vectors(rows(8)).requires_grad_()
        weight = torch.randn(FORM.width, generator=seeded(3))
        (FORM.draw(raw, seeded()) @ weight).sum().backward()
        assert torch.allclose(raw.grad[:, :2], weight[:2].expand(8, 2))
        assert (raw.grad[:, 2:-1] != 0).any(dim=0).all()

    def test_the_distance_of_categories_is_their_surprise(self):
        form = RowForm(0, (2, 2), 1)
        row = torch.tensor([[1.0, 0.0, 0.0, 1.0, 4.0]])
        raw = torch.tensor([[0.0, 0.0, 0.0, math.log(3.0), 9.0]])
        assert float(form.distance(raw, row)) == pytest.approx(math.log(2) + math.log(4 / 3), rel=1e-6)


class TestMapping:
    def test_it_starts_as_the_identity(self):
        some = rows(30)
        vectors = FORM.vectors(some)
        for mapping in network().mappings().values():
            raw = mapping(vectors)
            scores, codes = FORM.decide(raw, 1.0, seeded())
            assert torch.equal(scores, some.scores)
            assert torch.equal(codes, some.codes)
            for logit, code in zip(FORM.parts(raw)[1:-1], some.codes.T, strict=True):
                stays = logit.softmax(dim=1).gather(1, code[:, None])
                torch.testing.assert_close(stays, torch.full((30, 1), 0.95))

    def test_what_is_kept_passes_through_and_is_looked_at(self):
        mapping = Mapping(FORM, 16, 1)
        rng = seeded()
        for weight in mapping.parameters():
            nn.init.normal_(weight, generator=rng)
        vectors = FORM.vectors(rows(10))
        other = vectors.clone()
        other[:, -1] += 1
        assert torch.equal(mapping(other)[:, -1], other[:, -1])
        assert not torch.allclose(mapping(other)[:, :-1], mapping(vectors)[:, :-1])


class TestPairs:
    def test_pairs_share_their_group(self):
        rng = seeded()
        source, target = torch.randint(4, (50,), generator=rng), torch.randint(1, 5, (30,), generator=rng)
        i, j = Pairs(source, target).draw(2000, rng)
        assert torch.equal(source[i], target[j])
        assert set(source[i].tolist()) == {1, 2, 3}
        assert len(set(i.tolist())) == int((source > 0).sum())
        assert len(set(j.tolist())) == int((target < 4).sum())

    def test_groups_have_the_mean_of_their_shares(self):
        source, target = torch.tensor([0] * 9 + [1]), torch.tensor([0, 1])
        i, _ = Pairs(source, target).draw(20_000, seeded())
        # (.9 + .5) / 2 = .7; standard deviation .0032
        assert float((source[i] == 0).float().mean()) == pytest.approx(0.7, abs=0.02)


class TestTraining:
    def test_it_is_reproducible_and_records(self):
        first, history = trained({})
        again, other_history = trained({})
        for weight, other in zip(first.parameters(), again.parameters(), strict=True):
            assert torch.equal(weight, other)
        assert [line["cycle"] for line in history] == [line["cycle"] for line in other_history]
        assert len(history) == 6
        assert all(math.isfinite(value) for line in history for key, value in line.items() if key != "phase")
        assert all(weight.requires_grad for weight in first.parameters())

    def test_other_seeds_differ(self):
        first, other = trained({})[0], trained({}, seed=1)[0]
        assert not torch.equal(first.to_target.out.weight, other.to_target.out.weight)

    @pytest.mark.parametrize(
        "change",
        [
            {"loss": "relativistic"},
            {"n_critic": 1},
            {"gradient_penalty": 1.0},
            {"penalty_interval": 1},
            {"cycle_weight": 0.0},
            {"identity_weight": 0.0},
            {"movement_weight": 0.0},
        ],
    )
    def test_every_part_of_the_plan_has_an_effect(self, change):
        first, other = trained({})[0], trained(change)[0]
        assert not torch.equal(first.to_target.out.weight, other.to_target.out.weight)

    def test_a_lost_training_goes_back_and_on(self):
        with pytest.warns(UserWarning, match="went back to step"):
            cycle_gan, _ = trained_after_a_blow()
        assert all(torch.isfinite(weight).all() for weight in cycle_gan.parameters())

    @pytest.mark.slow
    def test_both_directions_of_a_shift_are_learned(self):
        source, target = rows(2000), rows(2000, 1, shift=1.0)
        cycle_gan = CycleGAN(FORM, 32, 1, seeded())
        pairs = Pairs(*(table.kept[:, 0].long() for table in (source, target)))
        plan = PLAN | {"n_steps": 500, "batch_size": 128, "identity_weight": 0.0, "cycle_weight": 0.1}
        plan |= {"movement_weight": 0.02, "generator_lr": 1e-3, "critic_lr": 2e-3}
        train_cycle_gan(cycle_gan, source, target, pairs, TranslationPlan(**plan), Run(cycle_gan, 0))
        with torch.no_grad():
            there = cycle_gan.to_target(FORM.vectors(source))[:, :2] - source.scores
            back = cycle_gan.to_source(FORM.vectors(target))[:, :2] - target.scores
        assert float(there.mean()) == pytest.approx(1.0, abs=0.2)
        assert float(back.mean()) == pytest.approx(-1.0, abs=0.2)


def trained_after_a_blow():
    """Train with a batch of rows that are not finite in the middle."""
    cycle_gan, source, target = network(), rows(40), rows(50, 1)
    calls = []

    class Blow(Pairs):
        def draw(self, n_pairs, rng):
            calls.append(1)
            i, j = super().draw(n_pairs, rng)
            source.scores[:] = torch.inf if len(calls) == 9 else healthy
            return i, j

    healthy = source.scores.clone()
    run = Run(cycle_gan, 0)
    groups = [table.kept[:, 0].long() for table in (source, target)]
    train_cycle_gan(cycle_gan, source, target, Blow(*groups), TranslationPlan(**PLAN), run)
    return cycle_gan, run.history
