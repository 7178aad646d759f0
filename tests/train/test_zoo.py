"""Networks of the zoo: what papers state of them, the knobs, the seeds."""

from __future__ import annotations

import numpy as np
import pytest

from tinyvision import zoo
from tinyvision.errors import UserError

PUBLISHED = [name for name in zoo.names() if zoo.network(name).published]


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs_and_parameters_are_the_published(name):
    from tinyvision.zoo import count

    stated = zoo.network(name).published
    size = stated.resolution
    model = zoo.build(name, size and (size, size, 3), stated.classes, stated.width, seed=0)
    if stated.mmacs is not None:
        assert count.macs(model) == pytest.approx(stated.mmacs * 1e6, rel=0.03)
    if stated.mparams is not None:
        assert count.parameters(model) == pytest.approx(stated.mparams * 1e6, rel=0.03)


def small(name: str, seed: int | None = 1, **knobs):
    return zoo.build(name, (32, 24, 3), 5, 0.5, seed, **knobs)


def test_a_seed_gives_the_same_weights_and_no_seed_others():
    first, second, other, free = (small("mcunet-vww0", seed) for seed in (1, 1, 2, None))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(a, b)
    for model in (other, free):
        assert not np.array_equal(first.get_weights()[0], model.get_weights()[0])


def test_no_two_layers_start_alike():
    model = small("mcunet-vww0")
    kernels = [w.numpy() for w in model.trainable_weights if "kernel" in w.name]
    same_shape = [(a, b) for a in kernels for b in kernels if a is not b and a.shape == b.shape]
    assert same_shape
    assert not any(np.array_equal(a, b) for a, b in same_shape)


def test_knobs():
    model = small("mcunet-in0")
    assert model.input_shape == (None, 32, 24, 3)
    assert model.output_shape == (None, 5)
    half = model.get_layer("block0_conv").kernel.shape[-1]
    assert 2 * half == 32  # 24 halved is 12, rounded to 16
    assert zoo.build("mcunet-vww1").output_shape == (None, 2)


def test_what_is_wrong_is_said():
    with pytest.raises(UserError, match="no network 'mcunet-vww3'"):
        zoo.build("mcunet-vww3")
    with pytest.raises(UserError, match="width"):
        zoo.build("mcunet-vww0", width=0.0)
    with pytest.raises(UserError, match="classes"):
        zoo.build("mcunet-vww0", classes=0)
    with pytest.raises(UserError, match="input shape"):
        zoo.build("mcunet-vww0", (32, 32))
