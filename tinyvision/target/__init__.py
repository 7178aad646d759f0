"""Boards and cores, as data."""

from tinyvision.target.board import Bank, Board
from tinyvision.target.core import CORES, Core
from tinyvision.target.load import GUARD_BYTES, board_names, load_board

__all__ = ["CORES", "GUARD_BYTES", "Bank", "Board", "Core", "board_names", "load_board"]
