"""Float Keras networks to int8 ``.tflite``.

``graph`` reads a network, ``rewrite`` makes it one of ``layers`` that compute as int8 does,
``calibrate`` sets their ranges; ``qat`` is the three together, ``convert`` drives TensorFlow's
converter with what was calibrated or learnt, ``ptq`` is all of it without training.
"""

from tinyvision.train.quantization.ptq import ptq
from tinyvision.train.quantization.qat import convert, qat

__all__ = ["convert", "ptq", "qat"]
