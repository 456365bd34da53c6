"""Rules that every row of a table keeps: found in the real one, kept exactly in synthetic ones.

`kinds` says what a rule is, `detect` finds those that a table supports beyond chance, `codec`
keeps them: what another column determines is not learned but restored, sums are solved, and rows that
break a rule are drawn again. `translation` turns conditions on what was left out into conditions on
what determines it.
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
