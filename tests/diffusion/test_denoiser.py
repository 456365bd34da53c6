import torch

from synthgan.diffusion.denoiser import Rows, signal
from tests.diffusion.rows import some_rows, times, untrained


class TestSignal:
    def test_the_signal_falls_from_one_to_nothing(self):
        a = signal(torch.linspace(0, 1, 101, dtype=torch.float64))
        assert a[0] == 1
        assert a[-1] < 1e-30
        assert (a.diff() < 0).all()


class TestDenoiser:
    def test_untrained_it_says_what_independent_columns_say(self):
        """v is 0, and the logits those of Bayes' rule: frequency of c_0 times q(c_t | c_0)."""
        denoiser = untrained(1, (3,))
        frequency = torch.tensor([0.5, 0.3, 0.2])
        denoiser.log_prior.copy_(frequency.log())
        t = times(0.4)
        v, logits = denoiser(Rows(torch.tensor([[0.3]]), torch.tensor([[2]])), t)
        assert v.tolist() == [[0.0]]
        a = float(signal(t))
        seen = torch.tensor([(1 - a) / 3, (1 - a) / 3, a + (1 - a) / 3])
        torch.testing.assert_close(logits.softmax(dim=1)[0], frequency * seen / (frequency * seen).sum())

    def test_each_row_is_on_its_own(self):
        denoiser, rows = untrained(shaken=True), some_rows(20)
        t = torch.linspace(0.1, 0.9, 20, dtype=torch.float64)
        together = denoiser(rows, t)
        alone = denoiser(Rows(rows.scores[7:8], rows.codes[7:8]), t[7:8])
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], other[7], rtol=1e-4, atol=1e-5)

    def test_it_sees_numbers_categories_and_the_time(self):
        denoiser = untrained(shaken=True)
        rows = Rows(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.int64))
        base = denoiser(rows, times(0.5))[0]
        assert not torch.allclose(denoiser(Rows(torch.tensor([[0.0, 1.0]]), rows.codes), times(0.5))[0], base)
        assert not torch.allclose(denoiser(Rows(rows.scores, torch.tensor([[0, 1]])), times(0.5))[0], base)
        assert not torch.allclose(denoiser(rows, times(0.6))[0], base)

    def test_known_parts_are_seen_as_such(self):
        denoiser, rows, none = untrained(shaken=True), some_rows(1), torch.zeros(1, 4, dtype=torch.bool)
        base = denoiser(rows, times(0.5))[0]
        torch.testing.assert_close(denoiser(rows, times(0.5), none)[0], base)
        for part in range(4):
            known = none.clone()
            known[0, part] = True
            assert not torch.allclose(denoiser(rows, times(0.5), known)[0], base)

    def test_weights_come_from_the_generator_alone(self):
        before = torch.random.get_rng_state()
        one, same = untrained().state_dict(), untrained().state_dict()
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_products_in_bfloat16_change_little_and_see_weights_that_have_changed(self):
        rows, t = some_rows(200), times(0.5)
        exact, rounded = untrained(shaken=True), untrained(shaken=True)
        rounded.precision = "bfloat16"
        for _ in range(2):
            wanted, found = (torch.cat(denoiser(rows, t), dim=1) for denoiser in (exact, rounded))
            assert found.dtype == torch.float32
            assert not torch.equal(found, wanted)
            assert (found - wanted).std() < 0.02 * wanted.std()
            with torch.no_grad():
                for denoiser in (exact, rounded):
                    denoiser.weight *= 2
        torch.cat(rounded(rows, t), dim=1).sum().backward()
        assert all(
            weight.grad.dtype == torch.float32 for weight in rounded.parameters() if weight.grad is not None
        )
