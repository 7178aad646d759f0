"""The passes in order, repeated until none finds anything more to do."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import graph_macs
from tinyvision.ir.verify import verify
from tinyvision.passes.crop_kernels import crop_kernels
from tinyvision.passes.dead_channels import dead_channels
from tinyvision.passes.dead_code import dead_code
from tinyvision.passes.edge_quantize import edge_quantize
from tinyvision.passes.fold_constants import fold_constants
from tinyvision.passes.fold_pads import fold_pads
from tinyvision.passes.fuse_activations import fuse_activations
from tinyvision.passes.remove_identities import remove_identities
from tinyvision.passes.remove_reshapes import remove_reshapes
from tinyvision.passes.tables import tables

_log = logging.getLogger(__name__)

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    edge_quantize,
    dead_code,
    fold_constants,
    remove_identities,
    remove_reshapes,
    fold_pads,
    crop_kernels,
    fuse_activations,
    dead_channels,
    tables,
)


def run(graph: Graph) -> Graph:
    """``graph`` with all passes applied until nothing changes, verified after each of them.

    A pass returns the graph itself where it finds nothing to do; each one that finds something
    removes operators, channels or constants, or makes an operator simpler, so this ends.
    """
    verify(graph)
    changed = True
    while changed:
        changed = False
        for transform in PASSES:
            after = transform(graph)
            if after is graph:
                continue
            verify(after)
            _log.debug(
                "%s: %d to %d operators, %d to %d MACs",
                transform.__name__,
                len(graph.ops),
                len(after.ops),
                graph_macs(graph),
                graph_macs(after),
            )
            graph, changed = after, True
    return graph
