"""Float Keras networks to int8 ``.tflite``.

``convert`` drives TensorFlow's converter.
"""

from tinyvision.train.quantization.ptq import ptq

__all__ = ["ptq"]
