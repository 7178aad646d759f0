"""tinyvision: from a vision model to verified, profiled firmware on a microcontroller."""

__version__ = "0.1.0"
