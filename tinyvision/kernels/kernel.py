"""What the scheduler and the code generator know of a kernel before any C is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """One way to compute one operator on one core.

    ``template``: file in ``codegen_templates/kernels`` that renders it; ``variant``: short name
    for reports. ``scratch_bytes``: work memory while it runs, 8-byte aligned, contents irrelevant
    before and after. ``flash_bytes``: its constants (packed weights, biases, multipliers,
    tables), without code. ``overlap``: for each operator input the smallest ``input.offset -
    output.offset`` in bytes for which the output may share memory with that input, or None where
    they must be disjoint. 0 means in place; a positive number that the output must begin that
    much below the input. Only for the operator's first output; the input must not be needed
    afterwards. ``overlap_step``: only every so many bytes from there on is allowed, too
    (1: every larger difference is); ``may_share`` is the rule. ``by_rows``: the template has a
    row function that a stream can call, as far as the operator has rows. ``shares``: not a
    template whose code each layer has for itself while others of the operator could share theirs.
    ``rows``: 0, or how many the row function computes in a call. ``pixels``: how many of the output
    it computes each time it goes through its constants; 0: all that a call does.
    """

    template: str
    variant: str
    scratch_bytes: int = 0
    flash_bytes: int = 0
    overlap: tuple[int | None, ...] = ()
    overlap_step: int = 1
    by_rows: bool = True
    shares: bool = True
    rows: int = 0
    pixels: int = 0

    def may_share(self, index: int, difference: int) -> bool:
        """Whether the output may share memory with input ``index`` where ``input.offset -
        output.offset`` is ``difference``.
        """
        lead = self.overlap[index] if index < len(self.overlap) else None
        if lead is None or difference < lead:
            return False
        return (difference - lead) % self.overlap_step == 0
