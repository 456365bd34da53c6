import pytest
import torch

from synthgan.errors import ParameterError
from synthgan.gan.players import CONDITIONINGS, GENERATORS, make_critic, make_generator
from tests.gan.tables import seeded

MAKERS = {
    **{kind: lambda rng, kind=kind: make_generator(kind, 4, 3, 5, rng) for kind in GENERATORS},
    "film": lambda rng: make_generator("residual", 4, 3, 5, rng, conditioning="film"),
    "critic": lambda rng: make_critic(5, 3, rng),
    "spectral": lambda rng: make_critic(5, 3, rng, spectral_norm=True),
    "projection": lambda rng: make_critic(5, 3, rng, conditioning="projection"),
    "discrimination": lambda rng: make_critic(5, 3, rng, statistics="discrimination"),
    "deviation": lambda rng: make_critic(5, 3, rng, statistics="deviation"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_players_are_drawn_from_their_source_of_randomness_alone(name):
    state = torch.get_rng_state()
    one, same, other = (MAKERS[name](seeded(seed)).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in one.items():
        assert torch.isfinite(value).all(), key
        assert torch.equal(value, same[key]), key
    differ = {key for key in one if not torch.equal(one[key], other[key])}
    constant = ("norm", "running", "n_means", "mean_style", "num_batches")
    expected = {key for key in one if not any(word in key for word in constant) or "film" in key}
    assert differ >= {key for key in expected if not (one[key] == 0).all()}
    assert any(key.endswith("weight") for key in differ)


@pytest.mark.parametrize("kind", GENERATORS)
def test_hidden_layers_have_the_sizes_asked_for(kind):
    small, large = (make_generator(kind, 4, 3, 50, seeded(), hidden_dims=h) for h in ((8, 8), (64, 64)))
    n_small, n_large = (sum(p.numel() for p in g.parameters()) for g in (small, large))
    assert n_small < n_large
    critic = make_critic(5, 3, seeded(), hidden_dims=(8, 9, 10))
    assert [critic.rows.out_features, *(layer.out_features for layer in critic.layers)] == [8, 9, 10]


@pytest.mark.parametrize("conditioning", CONDITIONINGS["critic"])
@pytest.mark.parametrize("statistics", [None, "discrimination", "deviation"])
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("pac_size", [1, 3])
def test_all_parts_of_a_critic_go_together(conditioning, statistics, spectral_norm, pac_size):
    rng = seeded()
    critic = make_critic(
        5, 3, rng, pac_size=pac_size, dropout=0.5, conditioning=conditioning,
        statistics=statistics, spectral_norm=spectral_norm,
    )  # fmt: skip
    score = critic.given(torch.randint(3, (12,), generator=rng), rng)
    rows = torch.randn(12, 5, generator=rng)
    (score(rows).mean() + score.gradient(rows).square().mean()).backward()
    assert all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)
    assert len(score(rows)) == 12 // pac_size


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        (
            "style",
            {"conditioning": "film"},
            "generator_conditioning='film' is for .* generator='style' modulates all layers by it already",
        ),
        ("convolutional", {"conditioning": "film"}, "generator='convolutional' takes it in its first layer"),
        ("residual", {"truncation": 0.5}, "generator='residual' has none. Take truncation=1 or"),
        ("convolutional", {"truncation": 0.0}, "truncation=0 pulls styles"),
    ],
)
def test_generators_of_parts_that_do_not_go_together_are_refused(kind, kwargs, message):
    with pytest.raises(ParameterError, match=message):
        make_generator(kind, 4, 3, 5, seeded(), **kwargs)


def test_conditioning_on_nothing_is_refused():
    with pytest.raises(
        ParameterError, match="generator_conditioning='film' needs a condition, and no column"
    ):
        make_generator("residual", 4, 0, 5, seeded(), conditioning="film")
    with pytest.raises(ParameterError, match="critic_conditioning='projection' needs a condition"):
        make_critic(5, 0, seeded(), conditioning="projection")


def test_statistics_before_the_only_hidden_layer_are_refused():
    with pytest.raises(ParameterError, match=r"last hidden layer but one\. Got 1 hidden layer: take two"):
        make_critic(5, 3, seeded(), hidden_dims=(8,), statistics="deviation")


@pytest.mark.parametrize(("width", "most"), [(1, 2), (16, 2), (17, 3), (160, 4), (1025, 6)])
def test_more_convolutions_than_a_row_can_fill_are_refused(width, most):
    generator = make_generator("convolutional", 4, 3, width, seeded(), hidden_dims=(8,) * most)
    assert generator.side == 1
    with pytest.raises(
        ParameterError, match=f"doubles the side .* Got {most + 1} layers: take at most {most}"
    ):
        make_generator("convolutional", 4, 3, width, seeded(), hidden_dims=(8,) * (most + 1))
