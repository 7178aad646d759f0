"""The pipelines' rules in Python; each module is the twin of ``native/core_*.c``."""
