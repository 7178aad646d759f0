"""Scheduling: order of operators, choice of kernels, memory placement. The result is a ``Plan``,
data.
"""

from tinyvision.schedule.planner import plan

__all__ = ["plan"]
