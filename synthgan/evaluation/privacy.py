"""Does it leak the data: all attacks together, and what may be concluded from them.

Coded tables enter, an `Audit` leaves. The attacker sees the synthetic table only.
Four families of tests, each corrected to a false-alarm probability of 1 %
(`synthgan.evaluation.alarms.LEVEL`), so that a table that leaks nothing raises an
alarm with at most 4 %. An alarm means a leak; no alarm means that these attacks,
with these numbers of records, found none, which is no proof of privacy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthgan.errors import quantity
from synthgan.evaluation.alarms import LEVEL, MIN_MEMBERS, MIN_OTHERS
from synthgan.evaluation.copies import copied_records
from synthgan.evaluation.disclosure import attribute_inference, singling_out
from synthgan.evaluation.intervals import Estimate
from synthgan.evaluation.membership import blind_baseline, membership_attacks
from synthgan.evaluation.tables import CodedTable

__all__ = ["FAMILIES", "THREAT_MODEL", "Audit", "audit", "verdict"]

FAMILIES = ("membership", "attributes", "singling out", "copies")

THREAT_MODEL = (
    "The attacker has the synthetic table and records of the same population, but not the model. "
    "Members are rows of the real table, non-members rows of the holdout, split at random."
)


@dataclass(frozen=True)
class Audit:
    """What the attacks found.

    Parameters
    ----------
    frames : dict of family to DataFrame
        See `membership_attacks`, `attribute_inference`, `singling_out`,
        `copied_records`.
    p_values : dict of family to float
        The least of each frame, corrected within it; NaN where nothing could be
        tested.
    blind : Estimate
        The AUC of telling members apart without the synthetic table.
    blind_p : float
    verdict : str
        See `verdict`.
    """

    frames: dict[str, pd.DataFrame]
    p_values: dict[str, float]
    blind: Estimate
    blind_p: float
    verdict: str

    @property
    def alarms(self) -> tuple[str, ...]:
        """Name the families that found a leak."""
        return _alarms(self.p_values)


def audit(
    real: CodedTable,
    synthetic: CodedTable,
    holdout: CodedTable,
    seed: int = 0,
    tick: Callable[[str], object] | None = None,
) -> Audit:
    """Run all attacks.

    Parameters
    ----------
    real, synthetic, holdout : CodedTable
        Tables of one domain; the holdout drawn at random from where the real
        rows were drawn.
    seed : int
        Of samples, halves and models.
    tick : callable, optional
        Told the name of each family when it begins.
    """
    parts = {
        "membership": lambda: membership_attacks(real, synthetic, holdout, seed),
        "attributes": lambda: attribute_inference(real, synthetic, holdout, seed=seed),
        "singling out": lambda: singling_out(real, synthetic, holdout, seed),
        "copies": lambda: copied_records(real, synthetic, holdout),
    }
    frames = {}
    for family in FAMILIES:
        if tick is not None:
            tick(family)
        frames[family] = parts[family]()
    blind, blind_p = blind_baseline(real, holdout, seed)
    p_values = {family: float(frame["p"].min()) for family, frame in frames.items()}
    words = verdict(p_values, blind_p, len(real), len(holdout))
    return Audit(frames, p_values, blind, blind_p, words)


def verdict(p_values: Mapping[str, float], blind_p: float, n_members: int, n_others: int) -> str:
    """Say what follows from the tests, and no more.

    Parameters
    ----------
    p_values : mapping of family to float
        Each corrected within its family; NaN where nothing could be tested.
    blind_p : float
        Of `blind_baseline`.
    n_members, n_others : int
        Rows of the real table and of the holdout, 0 without one.

    Examples
    --------
    >>> verdict({"membership": 1e-9, "copies": 0.4}, 0.3, 5000, 5000)
    'leak found: membership'
    >>> verdict({"membership": 0.2, "copies": 0.4}, 0.3, 5000, 5000)
    'no leak found by these attacks at this power'
    >>> verdict({}, float("nan"), 5000, 0)
    'no verdict: there is no holdout'
    """
    if n_others == 0:
        return "no verdict: there is no holdout"
    for n, least, role in ((n_members, MIN_MEMBERS, "real"), (n_others, MIN_OTHERS, "holdout")):
        if n < least:
            return f"no verdict: {quantity(n, f'{role} row')}, fewer than the {least:,} that the tests need"
    if blind_p <= LEVEL:
        return "no verdict: real and holdout rows differ by more than membership"
    found = _alarms(p_values)
    return f"leak found: {', '.join(found)}" if found else "no leak found by these attacks at this power"


def _alarms(p_values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(family for family, p in p_values.items() if not np.isnan(p) and p <= LEVEL)
