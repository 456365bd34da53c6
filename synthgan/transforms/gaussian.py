"""Gaussian modes of a number line: mode-specific normalization as in Xu et al. (2019), section 4.2.

The alternative to quantile modes. A value belongs to a component drawn from its posterior, and
alpha = (x - mean) / (4 std), clipped to [-1, 1]. Unlike quantile modes it cuts tails off and is not exact.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgan.scalars import scalar_from_json, scalar_to_json

__all__ = ["GaussianCodes", "fit_gaussian_codes"]

MAX_FIT_ROWS = 10_000  # the mixture fit on all rows is the reference's known bottleneck
_MIN_WEIGHT = 0.005  # components of less weight are dropped, as in the reference
_CHUNK = 50_000


@dataclass(frozen=True, eq=False)
class GaussianCodes:
    """Atoms and Gaussian components of a number line, in order of atom or mean.

    Parameters
    ----------
    point : uint64 or float64 array of shape (n_codes,)
        Coordinate of each atom; 0 for components.
    mode : int array of shape (n_codes,)
        Row of the code in `components`; -1 for atoms.
    components : float64 array of shape (n_modes, 3)
        Mean, standard deviation and weight.
    low, high : coordinates
        Bounds of every decoded coordinate.
    """

    point: NDArray[Any]
    mode: NDArray[np.int64]
    components: NDArray[np.float64]
    low: Any
    high: Any

    def __len__(self) -> int:
        return len(self.point)

    def encode(
        self, x: NDArray[Any], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the code and alpha of each coordinate, drawing components from their posterior."""
        atom_codes = np.flatnonzero(self.mode < 0)
        mode_codes = np.flatnonzero(self.mode >= 0)
        codes, alphas = np.zeros(len(x), dtype=np.int64), np.zeros(len(x))
        is_atom = np.zeros(len(x), dtype=bool)
        if len(atom_codes):
            at = np.minimum(np.searchsorted(self.point[atom_codes], x), len(atom_codes) - 1)
            is_atom = self.point[atom_codes][at] == x if len(mode_codes) else np.ones(len(x), dtype=bool)
            codes[is_atom] = atom_codes[at[is_atom]]
        rows = np.flatnonzero(~is_atom)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            values = x[part].astype(np.float64)
            mode = self._draw(values, rng)
            mean, std, _ = self.components[mode].T
            codes[part] = mode_codes[mode]
            alphas[part] = np.clip((values - mean) / (4 * std), -1, 1)
        return codes, alphas

    def _draw(self, values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
        """Draw a component for each value from the posterior, by the Gumbel-max trick."""
        mean, std, weight = self.components.T
        log_density = np.log(weight) - np.log(std) - 0.5 * ((values[:, None] - mean) / std) ** 2
        return np.asarray(np.argmax(log_density + rng.gumbel(size=log_density.shape), axis=1))

    def decode(self, codes: NDArray[np.integer[Any]], alphas: NDArray[np.float64]) -> NDArray[Any]:
        """Return the coordinate of each code and alpha, within [low, high]."""
        x: NDArray[Any] = self.point[codes]
        rows = np.flatnonzero(self.mode[codes] >= 0)
        if len(rows):
            mean, std, _ = self.components[self.mode[codes[rows]]].T
            values = np.clip(mean + 4 * std * alphas[rows], float(self.low), float(self.high))
            if x.dtype.kind == "u":
                values = np.clip(np.rint(values), 0, np.nextafter(2.0**64, 0)).astype(np.uint64)
            x[rows] = np.clip(values, self.low, self.high)
        return x

    def to_dict(self) -> dict[str, Any]:
        """Describe the codes in JSON."""
        return {
            "point": [scalar_to_json(v) for v in self.point.tolist()],
            "mode": self.mode.tolist(),
            "components": self.components.tolist(),
            "bounds": [scalar_to_json(v) for v in (self.low.item(), self.high.item())],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], dtype: type[np.generic]) -> GaussianCodes:
        """Read what `to_dict` wrote; ValueError if the parts do not fit together."""
        point = np.array([scalar_from_json(v) for v in data["point"]], dtype=dtype)
        low, high = np.array([scalar_from_json(v) for v in data["bounds"]], dtype=dtype)
        components = np.array(data["components"], dtype=np.float64).reshape(-1, 3)
        mode = np.array(data["mode"], dtype=np.int64)
        is_sound = (
            (point.ndim, mode.shape) == (1, point.shape)
            and low <= high
            and ((low <= point) & (point <= high))[mode < 0].all()
            and np.array_equal(np.sort(mode[mode >= 0]), np.arange(len(components)))
            and np.isfinite(components).all()
            and (components[:, 1:] > 0).all()
        )
        if not (is_sound and len(point)):
            raise ValueError("the atoms and components of a column must lie on a number line")
        return cls(point, mode, components, low, high)


def fit_gaussian_codes(
    x: NDArray[Any],
    mass: NDArray[np.float64],
    is_atom: NDArray[np.bool_],
    max_modes: int,
    rng: np.random.Generator,
) -> GaussianCodes:
    """Keep the atoms, and describe what is left by at most `max_modes` Gaussian components.

    Parameters are those of `fit_quantile_codes`, and the source of the subsample.
    """
    atoms, loose = x[is_atom], x[~is_atom].astype(np.float64)
    components = np.empty((0, 3))
    if len(loose):
        components = _fit_mixture(np.repeat(loose, np.ceil(mass[~is_atom]).astype(np.int64)), max_modes, rng)
    center = np.concatenate([atoms.astype(np.float64), components[:, 0]])
    order = np.argsort(center, kind="stable")
    point = np.concatenate([atoms, np.zeros(len(components), dtype=x.dtype)])[order]
    mode = np.where(order < len(atoms), -1, order - len(atoms))
    return GaussianCodes(point, mode, components, x[0], x[-1])


def _fit_mixture(
    values: NDArray[np.float64], max_modes: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Fit a Bayesian mixture; return mean, standard deviation and weight of each component kept."""
    from sklearn.mixture import BayesianGaussianMixture  # slow to import, and seldom needed

    if len(values) > MAX_FIT_ROWS:
        values = rng.choice(values, MAX_FIT_ROWS, replace=False)
    size = 2.0 ** (int(np.frexp(np.abs(values).max())[1]) - 1)  # squares of huge numbers would overflow
    center, spread = float((values / size).mean() * size), float((values / size).std() * size)
    if spread == 0:
        return np.array([[center, 1.0, 1.0]])
    mixture = BayesianGaussianMixture(
        n_components=min(max_modes, max(1, len(np.unique(values)) // 3)),
        weight_concentration_prior=0.001,
        weight_concentration_prior_type="dirichlet_process",
        max_iter=100,
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mixture that has not converged serves as well
        mixture.fit(((values - center) / spread)[:, None])
    keep = mixture.weights_ >= _MIN_WEIGHT
    mean = mixture.means_[keep, 0] * spread + center
    std = np.sqrt(mixture.covariances_[keep, 0, 0]) * spread
    order = np.argsort(mean)
    weight = mixture.weights_[keep] / mixture.weights_[keep].sum()
    return np.column_stack([mean, std, weight])[order]
