"""Synthetic tables: conditional GANs with fit and sample, and honest evaluators.

>>> from synthgan import TabularGAN, evaluate, load, datasets  # doctest: +SKIP
>>> real, holdout = datasets.load_adult()  # doctest: +SKIP
>>> model = TabularGAN(random_state=0).fit(real)  # doctest: +SKIP
>>> synthetic = model.sample(len(real), random_state=1)  # doctest: +SKIP
>>> print(evaluate(real, synthetic, holdout=holdout, target="income"))  # doctest: +SKIP

Names are imported when they are first used: ``import synthgan`` loads neither torch nor
pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgan import callbacks, constraints, datasets, errors
    from synthgan.augment import GANOverSampler
    from synthgan.curves import plot_history
    from synthgan.evaluation import evaluate
    from synthgan.impute import Imputer
    from synthgan.io import read_table, write_table
    from synthgan.schema import Schema
    from synthgan.synthesizers.archive import load
    from synthgan.synthesizers.ctgan import CTGAN
    from synthgan.synthesizers.independent import IndependentSynthesizer
    from synthgan.synthesizers.tabular_diffusion import TabularDiffusion
    from synthgan.synthesizers.tabular_gan import TabularGAN
    from synthgan.translate import TableTranslator

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 (in the order of the data path)
    "datasets",
    "constraints",
    "read_table",
    "write_table",
    "Schema",
    "TabularGAN",
    "CTGAN",
    "TabularDiffusion",
    "IndependentSynthesizer",
    "callbacks",
    "plot_history",
    "load",
    "GANOverSampler",
    "Imputer",
    "TableTranslator",
    "evaluate",
    "errors",
]

_HOMES = {
    "datasets": "synthgan.datasets",
    "constraints": "synthgan.constraints",
    "read_table": "synthgan.io",
    "write_table": "synthgan.io",
    "Schema": "synthgan.schema",
    "TabularGAN": "synthgan.synthesizers.tabular_gan",
    "CTGAN": "synthgan.synthesizers.ctgan",
    "TabularDiffusion": "synthgan.synthesizers.tabular_diffusion",
    "IndependentSynthesizer": "synthgan.synthesizers.independent",
    "callbacks": "synthgan.callbacks",
    "plot_history": "synthgan.curves",
    "TableTranslator": "synthgan.translate",
    "load": "synthgan.synthesizers.archive",
    "GANOverSampler": "synthgan.augment",
    "Imputer": "synthgan.impute",
    "evaluate": "synthgan.evaluation",
    "errors": "synthgan.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'synthgan' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if home.__name__ == f"synthgan.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
