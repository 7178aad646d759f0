"""C from graph and plan: kernel instances, packed constants, the model's public header.

How a kernel comes into the generated code, and how to add one:

1. ``tinyvision/kernels/<family>.py`` holds ``candidates(graph, op, core) -> tuple[Kernel, ...]``,
   fastest first: template name, variant, exact scratch and flash bytes, allowed overlap. Register
   it in ``kernels/choose.py``. Sizes that the template needs as well (scratch rows, blocks) are
   functions there; the instance builder calls the same ones.
2. ``tinyvision/codegen/instances/<family>.py`` holds ``build(graph, op, kernel) -> Instance``: the
   call's arguments in order (``TensorArg``, ``ConstArg``, ``ScratchArg``) and the context of plain
   integers and C identifiers. Every derived integer (multipliers, shifts, tables) comes from
   ``ir.derive``. Register it in ``codegen/instances/__init__.py``.
3. ``codegen_templates/kernels/<template>.c.j2`` renders one ``static void {{ name }}(...)`` whose
   parameters are those arguments in that order (tensors as ``const int8_t *``/``int8_t *``,
   constants as ``const <their type> *``, scratch as ``uint8_t *``). Helpers of
   ``codegen_templates/tv_kernel.h.j2`` (``tv_requantize``, ``tv_clamp``, SIMD) are at hand; shared
   Jinja macros go to ``codegen_templates/kernels/_*.j2``. Pass INT32_MIN-like values through
   ``| c_int``.
4. ``tests/host/test_<family>.py`` draws cases, and ``tests.support.kernel_check.check_cases``
   compiles them in one go and compares every output with the oracle under sanitizers.

Two layers whose template and context are equal share one C function, so a context never names its
layer.
"""

from tinyvision.codegen.emit import emit, model_context

__all__ = ["emit", "model_context"]
