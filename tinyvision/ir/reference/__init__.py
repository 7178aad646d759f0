"""The oracle: what every operator computes, in numpy integers.

Equal in every bit to the reference kernels of tflite-runtime 2.14 (``OpResolverType.BUILTIN_REF``);
every other implementation in tinyvision is held equal to this one.
"""

from tinyvision.ir.reference.run import evaluate, run, run_all

__all__ = ["evaluate", "run", "run_all"]
