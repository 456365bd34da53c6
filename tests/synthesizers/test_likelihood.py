"""Scores are tested for all synthesizers together in `test_common`; here: who has them."""

from synthgan import IndependentSynthesizer, TabularGAN
from synthgan.synthesizers.base import BaseSynthesizer
from synthgan.synthesizers.neural import NeuralSynthesizer


def test_scores_belong_to_those_who_know_probabilities():
    for names in ("score_samples", "score"):
        assert hasattr(IndependentSynthesizer, names)
        assert hasattr(TabularGAN, names)
        assert not hasattr(BaseSynthesizer, names)
        assert not hasattr(NeuralSynthesizer, names)
