"""Rules that every row of a table keeps: found in the real one, kept exactly in synthetic ones.

`base` says what a rule is, `equations` and `kinds` which there are, `detect` finds the rules that a
table supports beyond chance, `keep` has them hold: what another column determines is not learned but
looked up (`synthgan.transforms.determined`), sums and products are solved, and rows that break a rule are
drawn again.
"""

from synthgan.constraints.base import Constraint
from synthgan.constraints.detect import detect
from synthgan.constraints.equations import Product, Sum
from synthgan.constraints.kinds import (
    FixedCombinations,
    FunctionalDependency,
    Inequality,
    Predicate,
    Unique,
    constraint_from_dict,
)

__all__ = [
    "Constraint",
    "FixedCombinations",
    "FunctionalDependency",
    "Inequality",
    "Predicate",
    "Product",
    "Sum",
    "Unique",
    "constraint_from_dict",
    "detect",
]
