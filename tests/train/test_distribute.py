"""``tf.distribute`` by one option: two replicas on one machine, which learn what one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

CODE = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from tinyvision.settings import Settings
from tinyvision.train.trainer import train_float
settings = Settings().over(
    data={"source": "digits"},
    model={"name": "ds-cnn", "width": 0.25, "resolution": 16},
    training={"epochs": 3, "batch": 128, "distribute": "mirrored"},
)
print(json.dumps(train_float(settings, Path("out")).history))
"""


def test_mirrored(tmp_path):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    losses = [entry["loss"] for entry in json.loads(done.stdout.splitlines()[-1])]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
