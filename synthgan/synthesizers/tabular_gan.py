"""`TabularGAN`, the flagship: a conditional WGAN-GP in the latent space of a masked table autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from synthgan.errors import ModelFileError, ParameterError
from synthgan.gan.model import Architecture, LatentGAN
from synthgan.gan.training import AutoencoderPlan, GANPlan
from synthgan.layout import EncodedTable, Layout
from synthgan.params import Choice, Instance, Interval, Rule
from synthgan.seeding import RandomState
from synthgan.synthesizers.base import BaseSynthesizer, State, drawn_in_blocks

__all__ = ["TabularGAN"]


class TabularGAN(BaseSynthesizer):
    """Learn a table of mixed columns and draw synthetic rows from it."""

    _codec_parameters = ("max_modes", "modes")

    def __init__(
        self,
        *,
        kinds: Mapping[Any, str] | None = None,
        max_modes: int = 50,
        modes: str = "quantile",
        hidden_dim: int = 256,
        n_blocks: int = 2,
        latent_dim: int = 32,
        noise_dim: int = 64,
        n_steps: int | None = None,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.3,
        latent_share: float = 0.25,
        heldout_fraction: float = 0.05,
        patience: int = 6,
        n_gan_steps: int | None = None,
        gan_batch_size: int = 256,
        gan_loss: str = "wgan-gp",
        n_critic: int = 2,
        gradient_penalty: float = 10.0,
        generator_lr: float = 3e-4,
        critic_lr: float = 3e-4,
        pac_size: int = 1,
        conditional_share: float = 0.25,
        n_passes: int | None = None,
        max_seconds: float | None = None,
        device: str = "auto",
        verbose: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.kinds = kinds
        self.max_modes = max_modes
        self.modes = modes
        self.hidden_dim = hidden_dim
        self.n_blocks = n_blocks
        self.latent_dim = latent_dim
        self.noise_dim = noise_dim
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.latent_share = latent_share
        self.heldout_fraction = heldout_fraction
        self.patience = patience
        self.n_gan_steps = n_gan_steps
        self.gan_batch_size = gan_batch_size
        self.gan_loss = gan_loss
        self.n_critic = n_critic
        self.gradient_penalty = gradient_penalty
        self.generator_lr = generator_lr
        self.critic_lr = critic_lr
        self.pac_size = pac_size
        self.conditional_share = conditional_share
        self.n_passes = n_passes
        self.max_seconds = max_seconds
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "kinds": (Instance((Mapping,), "a mapping of column to kind"), Choice((None,))),
        "max_modes": (Interval(int, 1, 1000),),
        "modes": (Choice(("quantile", "gaussian")),),
        "hidden_dim": (Interval(int, 8),),
        "n_blocks": (Interval(int, 1),),
        "latent_dim": (Interval(int, 1),),
        "noise_dim": (Interval(int, 1),),
        "n_steps": (Interval(int, 1), Choice((None,))),
        "batch_size": (Interval(int, 8),),
        "learning_rate": (Interval(float, 0, open_low=True),),
        "weight_decay": (Interval(float, 0),),
        "latent_share": (Interval(float, 0.05, 0.95),),
        "heldout_fraction": (Interval(float, 0, 0.5),),
        "patience": (Interval(int, 1),),
        "n_gan_steps": (Interval(int, 1), Choice((None,))),
        "gan_batch_size": (Interval(int, 2),),
        "gan_loss": (Choice(("wgan-gp", "relativistic")),),
        "n_critic": (Interval(int, 1),),
        "gradient_penalty": (Interval(float, 0),),
        "generator_lr": (Interval(float, 0, open_low=True),),
        "critic_lr": (Interval(float, 0, open_low=True),),
        "pac_size": (Interval(int, 1),),
        "conditional_share": (Interval(float, 0, 1),),
        "n_passes": (Interval(int, 1), Choice((None,))),
        "max_seconds": (Interval(float, 0, open_low=True), Choice((None,))),
        "device": (Instance((str,), "'auto', 'cpu' or a torch device such as 'cuda'"),),
        "verbose": (Choice((True, False)),),
    }

    def _learn(self, encoded: EncodedTable, layout: Layout, seed: int) -> None:
        model = LatentGAN(layout, self._architecture()).to(_resolve(self.device))
        autoencoder, gan = self._plans(len(encoded))
        self.history_ = pd.DataFrame(
            model.train_on(encoded, autoencoder, gan, self.heldout_fraction, seed, self.verbose)
        )
        self.model_ = model.eval()

    def _draw(self, n_samples: int, seed: int) -> EncodedTable:
        sampler = self.model_.sampler(self.n_passes)

        def draw(n_rows: int, rng: np.random.Generator) -> EncodedTable:
            return self.model_.book.encoded(*sampler.draw(n_rows, rng))

        return drawn_in_blocks(draw, n_samples, seed)

    def _architecture(self) -> Architecture:
        return Architecture(
            hidden_dim=self.hidden_dim,
            inner_dim=self.hidden_dim,
            n_blocks=self.n_blocks,
            latent_dim=self.latent_dim,
            noise_dim=self.noise_dim,
            generator_dim=192,
            critic_dim=256,
            pac_size=self.pac_size,
        )

    def _plans(self, n_rows: int) -> tuple[AutoencoderPlan, GANPlan]:
        if self.gan_batch_size % self.pac_size:
            raise ParameterError("pac")
        n_steps = self.n_steps or int(min(max(28 * n_rows / self.batch_size, 800), 6000))
        n_gan_steps = self.n_gan_steps or 3000
        budget = self.max_seconds
        return (
            AutoencoderPlan(
                n_steps, self.batch_size, self.learning_rate, self.weight_decay, self.latent_share, self.patience,
                None if budget is None else 0.6 * budget,
            ),
            GANPlan(
                n_gan_steps, self.gan_batch_size, self.gan_loss, self.n_critic, self.gradient_penalty,
                self.generator_lr, self.critic_lr, self.conditional_share,
                None if budget is None else 0.35 * budget,
            ),
        )

    def _state(self) -> State:
        arrays = {name: t.detach().cpu().numpy() for name, t in self.model_.state_dict().items()}
        return {}, arrays

    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        model = LatentGAN(self.codec_.layout_, self._architecture())
        try:
            model.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
        except (RuntimeError, TypeError) as error:
            raise ModelFileError(str(error)) from error
        self.model_ = model.to(_resolve(self.device)).eval()


def _resolve(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ParameterError(f"bad device {device!r}") from error
