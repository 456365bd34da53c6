"""From a frame to codes and alphas, and back: one codec for each kind of column, and one for the table."""

from synthgan.transforms.categorical import CategoricalCodec
from synthgan.transforms.generated import ConstantCodec, IdentifierCodec
from synthgan.transforms.numeric import NumericCodec
from synthgan.transforms.table import TableCodec

__all__ = ["CategoricalCodec", "ConstantCodec", "IdentifierCodec", "NumericCodec", "TableCodec"]
