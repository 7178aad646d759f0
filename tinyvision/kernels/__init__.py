"""Kernel choice: which implementation an operator may use on a core, and what it costs in memory.

The scheduler asks before it places memory, the code generator renders what was chosen: one truth
for both.
"""
