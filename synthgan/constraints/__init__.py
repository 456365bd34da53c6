"""Rules that every row of a table keeps: found in the real one, kept exactly in synthetic ones.

`kinds` says what a rule is (`combinations` those on few columns), `detect` finds the rules that a
table supports beyond chance, `keep` has them hold: what another column determines is not learned but
looked up (`synthgan.transforms.determined`), sums are solved, and rows that break a rule are drawn again.
"""

from synthgan.constraints.detect import detect
from synthgan.constraints.kinds import (
    Constraint,
    FixedCombinations,
    FunctionalDependency,
    Inequality,
    Predicate,
    Sum,
    Unique,
    constraint_from_dict,
)

__all__ = [
    "Constraint",
    "FixedCombinations",
    "FunctionalDependency",
    "Inequality",
    "Predicate",
    "Sum",
    "Unique",
    "constraint_from_dict",
    "detect",
]
