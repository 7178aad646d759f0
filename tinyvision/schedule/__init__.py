"""Scheduling: order of operators, choice of kernels, memory placement. The result is a ``Plan``,
data.
"""

from tinyvision.schedule.planner import pareto_front, plan

__all__ = ["pareto_front", "plan"]
