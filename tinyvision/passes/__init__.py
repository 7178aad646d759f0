"""Rewriting the graph into one that computes the same bits with less work."""

from tinyvision.passes.pipeline import PASSES, run

__all__ = ["PASSES", "run"]
