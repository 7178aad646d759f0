"""How many cycles code takes on a Cortex-M core with given memories. See docs/cycle-model.md."""

from __future__ import annotations

from tinyvision.cycles.annotate import HotFunction, hot_functions
from tinyvision.cycles.cores import CORES
from tinyvision.cycles.costs import Cost, InstructionCost, by_function
from tinyvision.cycles.engine import Engine, make_engine
from tinyvision.cycles.microop import Cause
from tinyvision.cycles.native_engine import NativeEngine
from tinyvision.cycles.parameters import basis, has_model, parameters
from tinyvision.cycles.python_engine import PythonEngine

__all__ = [
    "CORES",
    "Cause",
    "Cost",
    "Engine",
    "HotFunction",
    "InstructionCost",
    "NativeEngine",
    "PythonEngine",
    "basis",
    "by_function",
    "has_model",
    "hot_functions",
    "make_engine",
    "parameters",
]
