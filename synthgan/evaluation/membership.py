"""Does it leak who is in the data: attacks that tell members from non-members.

The attacker has the synthetic table and nothing else of the model (black box).
Members are real rows, non-members are rows of the holdout; both must be drawn at
random from one population. Coded tables enter, a row for each attack leaves.

Every attack but the last scores a record without looking at who is a member:
all records attacked stand together, and a record is compared with the synthetic
rows and with the *other* records. So the labels are exchangeable given the
scores whenever the synthetic table tells nothing about them. The tests of the
top records are then exact for any data, with duplicates and ties (see
`synthgan.evaluation.alarms`); that of the ranks is so but for the normal law of
their sum. An attack that learns from labels learns them from one half of the records
and is judged on the other half: in cross-validation the halves would lean on
each other's labels, and their common variance be larger than it looks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sklearn.ensemble import HistGradientBoostingClassifier

from synthgan.evaluation.alarms import LEVEL, able, at_once, detectable_auc, detectable_tpr, excess_p, least_p
from synthgan.evaluation.features import boosting_features, trainable
from synthgan.evaluation.intervals import Estimate, auc_with_variance, wilson
from synthgan.evaluation.neighbours import embed, nearest
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = [
    "blind_baseline",
    "density_ratio_score",
    "membership_attacks",
    "monte_carlo_score",
    "nearest_score",
    "tpr_at",
]

RATES = (0.01, 0.001)  # false-positive rates that are reported
SHARES = (0.05, 0.01, 0.001)  # of the records, those of the highest scores, that are tested
OUTLYING = 0.05
_N_NEIGHBOURS = 20  # of the synthetic table; as many as are counted within the radius
_K = 5  # of the records themselves: the scale of their density
_FLOOR = 1e-6  # below it distances are rounding
_MIN_PER_CLASS = 8  # fewer records teach nothing
_MIN_UNTIED = 100  # the sum of ranks is normal only if not all but a few records share one rank

_TESTS = ("auc_p", *(f"top_p_{share}" for share in SHARES))
_LEAST = ("least_p_auc", *(f"least_p_{share}" for share in SHARES))
_JUDGED = (
    *("auc", "auc_low", "auc_high", *_TESTS, *_LEAST),
    *(f"tpr_at_{rate}{end}" for rate in RATES for end in ("", "_low", "_high")),
)

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def nearest_score(to_synthetic: Floats) -> Floats:
    """Score records by the nearest synthetic row: minus its distance.

    Parameters
    ----------
    to_synthetic : array of shape (n, k)
        Ascending distances of each record to its nearest synthetic rows.

    References
    ----------
    Chen et al. (2020), "GAN-Leaks: a taxonomy of membership inference attacks
    against generative models", the full black-box attack.
    """
    return -np.maximum(to_synthetic[:, 0], _FLOOR)  # equal rows may seem a rounding error apart


def monte_carlo_score(to_synthetic: Floats) -> Floats:
    """Score records by how many synthetic rows lie within a radius.

    The radius is the median over all records of the distance to the nearest
    synthetic row. Rows are counted up to the k that are given.

    Parameters
    ----------
    to_synthetic : array of shape (n, k)
        Ascending distances.

    References
    ----------
    Hilprecht, Härterich and Bernau (2019), "Monte Carlo and reconstruction
    membership inference attacks against generative models", median heuristic.

    Examples
    --------
    >>> monte_carlo_score(np.array([[0.1, 0.2], [0.2, 0.9], [0.8, 0.9]]))   # radius 0.2
    array([2., 1., 0.])
    """
    radius = np.median(to_synthetic[:, 0]) + _FLOOR
    return np.asarray((to_synthetic <= radius).sum(axis=1), dtype=np.float64)


def density_ratio_score(to_synthetic: Floats, to_others: Floats) -> Floats:
    """Score records by the density of synthetic rows over that of records.

    ``log d_k(x, other records) - log d_1(x, synthetic)``: nearest-neighbour
    densities, up to constants and to the factor of the dimension. The last
    column of `to_others` counts and the first one of `to_synthetic`, because a
    leak is a single synthetic row too near.

    Parameters
    ----------
    to_synthetic, to_others : array of shape (n, k)
        Ascending distances of each record to synthetic rows and to records
        other than itself.

    References
    ----------
    van Breugel et al. (2023), "Membership inference attacks against synthetic
    data through overfitting detection", with nearest-neighbour densities.

    Examples
    --------
    >>> density_ratio_score(np.array([[0.1]]), np.array([[0.2, 0.8]])).round(4)   # log 8
    array([2.0794])
    """
    score: Floats = np.log(to_others[:, -1] + _FLOOR) - np.log(to_synthetic[:, 0] + _FLOOR)
    return score


def classifier_score(records: CodedTable, synthetic: CodedTable, rng: np.random.Generator) -> Floats:
    """Score records by a classifier that tells synthetic rows from records: its log-odds.

    Gradient boosting on the columns. Each half of the records is scored by a
    model of all synthetic rows and the other half, so that no record is its own
    counter-example.

    Returns
    -------
    array of shape (n_records,)
        Zeros if there are too few rows to learn from.

    References
    ----------
    The density ratio of van Breugel et al. (2023), learned as log-odds.
    """
    (x, drawn), categorical = boosting_features([records, synthetic], records.domain.names)
    score = np.zeros(len(x))
    half = _half(len(x), rng)
    if min(half.sum(), (~half).sum(), len(drawn)) < _MIN_PER_CLASS:
        return score
    for scored in (half, ~half):
        features = np.vstack([x[~scored], drawn])
        truth = np.arange(len(features)) >= (~scored).sum()
        score[scored] = _boosted(features, truth, x[scored], rng, categorical)
    return score


def membership_attacks(
    real: CodedTable, synthetic: CodedTable, holdout: CodedTable, seed: int = 0, max_targets: int = 10_000
) -> pd.DataFrame:
    """Attack the membership of real and holdout records in five ways.

    "nearest", "monte_carlo", "density_ratio" and "classifier" are the scores of
    this module; "supervised" is what an auditor can do who knows who was a
    member: gradient boosting on all of these, trained on one half of the
    records and judged on the other one.

    Parameters
    ----------
    real, synthetic, holdout : CodedTable
        Tables of one domain.
    seed : int
        Of samples, halves and models.
    max_targets : int
        How many members and how many non-members are attacked at most. The
        synthetic table is never sampled.

    Returns
    -------
    DataFrame with a row for each attack on all records and on the outlying 5 %
        ``attack``; ``records``, "all" or "outlying" (the farthest from their
        5th nearest other record); ``n_members``, ``n_others``; ``auc`` with
        ``auc_low``, ``auc_high`` (DeLong) and ``auc_p`` (rank-sum, one-sided);
        for the rates 0.01 and 0.001 ``tpr_at_0.01`` with ``_low`` and ``_high``,
        see `tpr_at`; ``top_p_0.05``, ``top_p_0.01`` and ``top_p_0.001``, the
        test of `excess_p` on the records of the highest scores, these shares of
        all with ties kept together. ``p`` is the least p-value, corrected for
        all attacks, tests and record sets of the frame: a leak if <= `LEVEL`.
        ``detectable_auc`` and ``detectable_tpr`` (among the top 1 %) are found
        with probability 0.8. NaN where too few records are left.
    """
    rng = stream(seed, "membership")
    members, others = real.sampled(max_targets, rng), holdout.sampled(max_targets, rng)
    records = others.stacked_on(members)
    member = np.arange(len(records)) < len(members)
    points, drawn = embed(records, synthetic, ranked=[records])
    to_synthetic, to_others = nearest(points, drawn, _N_NEIGHBOURS)[0], nearest(points, k=_K)[0]
    scores = {
        "nearest": nearest_score(to_synthetic),
        "monte_carlo": monte_carlo_score(to_synthetic),
        "density_ratio": density_ratio_score(to_synthetic, to_others),
        "classifier": classifier_score(records, synthetic, rng),
    }
    judged = np.ones(len(records), dtype=bool)
    known = np.column_stack([*scores.values(), _features(to_synthetic, to_others)])
    learned, half = _learned(known, member, rng)
    attacks = [(name, score, judged) for name, score in scores.items()] + [("supervised", learned, half)]
    outlying = to_others[:, -1] >= np.quantile(to_others[:, -1], 1 - OUTLYING)
    rows = []
    for name, mask in (("all", judged), ("outlying", outlying)):
        for attack, score, own in attacks:
            kept = mask & own
            rows.append({"attack": attack, "records": name, **_result(score[kept], member[kept])})
    return _with_corrected(pd.DataFrame(rows))


def blind_baseline(
    real: CodedTable, holdout: CodedTable, seed: int = 0, max_targets: int = 10_000
) -> tuple[Estimate, float]:
    """Tell members from non-members without the synthetic table.

    Where that succeeds the two differ by more than membership, and no attack
    proves anything. Gradient boosting on the columns, trained on one half of
    the records and judged on the other one.

    Returns
    -------
    auc : Estimate
        With DeLong's interval; 0.5 is what an exchangeable holdout gives. NaN
        with too few rows.
    p : float
        One-sided, of the rank-sum test.

    References
    ----------
    Das, Zhang and Tramèr (2024), "Blind baselines beat membership inference
    attacks for foundation models".
    """
    rng = stream(seed, "blind baseline")
    members, others = real.sampled(max_targets, rng), holdout.sampled(max_targets, rng)
    records = others.stacked_on(members)
    member = np.arange(len(records)) < len(members)
    (x,), categorical = boosting_features([records], records.domain.names)
    score, half = _learned(x, member, rng, categorical)
    found = _result(score[half], member[half])
    return Estimate(found["auc"], found["auc_low"], found["auc_high"]), float(found["auc_p"])


def tpr_at(rate: float, score: Floats, member: Mask) -> Estimate:
    """Give the share of members found when at most `rate` of the non-members are accused.

    A record is accused if its score reaches a threshold; tied records are
    accused together or not at all.

    Returns
    -------
    Estimate
        In [0, 1], with Wilson's interval given the threshold; that the
        threshold itself is known from the non-members only is not in it.

    References
    ----------
    Carlini et al. (2022), "Membership inference attacks from first principles".

    Examples
    --------
    >>> tpr_at(0.5, np.array([5.0, 3.0, 4.0, 2.0]), np.array([True, True, False, False])).value
    1.0
    """
    others = np.sort(score[~member])[::-1]
    allowed = int(rate * len(others))
    found = score[member] > others[allowed] if allowed < len(others) else np.ones(member.sum(), dtype=bool)
    return wilson(int(found.sum()), len(found))


def _half(n: int, rng: np.random.Generator) -> Mask:
    """Mark a random half of n records."""
    return np.asarray(rng.permutation(n) < n // 2)


def _boosted(
    features: Floats, truth: Mask, scored: Floats, rng: np.random.Generator, categorical: Mask | None = None
) -> Floats:
    """Train gradient boosting and give the log-odds of other rows."""
    model = HistGradientBoostingClassifier(
        max_iter=40,
        max_leaf_nodes=15,
        categorical_features=categorical,
        early_stopping=False,
        random_state=int(rng.integers(2**31)),
    )
    model.fit(trainable(features), truth)
    return np.asarray(model.decision_function(scored), dtype=np.float64)


def _learned(
    features: Floats, member: Mask, rng: np.random.Generator, categorical: Mask | None = None
) -> tuple[Floats, Mask]:
    """Learn labels from one half of the records; score and mark the other half."""
    half = _half(len(member), rng)
    score, taught = np.zeros(len(member)), member[~half]
    if min(taught.sum(), (~taught).sum()) >= _MIN_PER_CLASS:
        score[half] = _boosted(features[~half], taught, features[half], rng, categorical)
    return score, half


def _features(to_synthetic: Floats, to_others: Floats) -> Floats:
    """Describe the neighbours of each record, shape (n, width)."""
    near = np.log(to_synthetic[:, :_K] + _FLOOR)
    return np.column_stack([near, near[:, :1] - near[:, 1:], np.log(to_others + _FLOOR)])


def _result(score: Floats, member: Mask) -> dict[str, Any]:
    """Judge one attack on some records."""
    n_members, n_others = int(member.sum()), int((~member).sum())
    found: dict[str, Any] = {"n_members": n_members, "n_others": n_others}
    if min(n_members, n_others) < _MIN_PER_CLASS:
        return found | dict.fromkeys(_JUDGED, float("nan"))
    auc, variance = auc_with_variance(member, score)
    area = Estimate.around(auc, float(np.sqrt(variance)))
    found |= {"auc": area.value, "auc_low": area.low, "auc_high": area.high, "auc_p": _rank_p(score, member)}
    found["least_p_auc"] = 0.0
    for rate in RATES:
        share = tpr_at(rate, score, member)
        found |= {f"tpr_at_{rate}": share.value, f"tpr_at_{rate}_low": share.low}
        found |= {f"tpr_at_{rate}_high": share.high}
    for top in SHARES:
        accused = _top(top, score)
        hits = int((accused & member).sum()), int((accused & ~member).sum())
        found |= {f"top_p_{top}": excess_p(hits[0], n_members, hits[1], n_others)}
        found |= {f"least_p_{top}": least_p(sum(hits), n_members, n_others)}
    return found


def _rank_p(score: Floats, member: Mask) -> float:
    """Test whether members have the higher ranks; 1 if so many are tied that the normal law fails."""
    untied = len(score) - int(np.unique(score, return_counts=True)[1].max())
    if untied < min(_MIN_UNTIED, len(score) / 2):
        return 1.0
    test = mannwhitneyu(score[member], score[~member], alternative="greater", method="asymptotic")
    return float(test.pvalue)


def _top(share: float, score: Floats) -> Mask:
    """Mark the records of the highest scores, at least this share of all; ties stay together."""
    n_top = int(np.ceil(share * len(score)))
    return np.asarray(score >= np.partition(score, -n_top)[-n_top])


def _with_corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """Correct for all tests of the frame and say what they could have found."""
    p_values, least = frame[list(_TESTS)].to_numpy(float), frame[list(_LEAST)].to_numpy(float)
    level = LEVEL / max(able(least.ravel()).sum(), 1)
    sizes = list(zip(frame["n_members"], frame["n_others"], strict=True))
    tops = [int(np.ceil(RATES[0] * (m + n))) for m, n in sizes]
    tested = frame["auc"].notna()
    return frame.drop(columns=list(_LEAST)).assign(
        p=at_once(p_values.ravel(), least.ravel()).reshape(p_values.shape).min(axis=1),
        detectable_auc=np.where(tested, [detectable_auc(m, n, level) for m, n in sizes], np.nan),
        detectable_tpr=np.where(
            tested,
            [detectable_tpr(k, m, n, level) for k, (m, n) in zip(tops, sizes, strict=True)],
            np.nan,
        ),
    )
