"""The intermediate representation: tensors, operators, the graph, and what they mean
(``reference``).
"""

from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType, QuantParams, Tensor

__all__ = ["DType", "Graph", "QuantParams", "Tensor"]
