"""Pictures of segments that run tile by tile or row by row, as SVG without external resources."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.report.render import render
from tinyvision.report.segment_map import segment_maps
from tinyvision.schedule.plan import Plan


def segment_svgs(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """One picture for each patch and each stream of ``plan``."""
    return tuple(render("segment.svg.j2", map=found) for found in segment_maps(graph, plan))
