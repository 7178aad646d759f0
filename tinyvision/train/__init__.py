"""Training in TensorFlow: networks in, int8 ``.tflite`` out. Needs ``tinyvision[train]``."""
