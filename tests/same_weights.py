"""Whether two models hold the same weights, to float rounding."""

import numpy as np


def assert_same_weights(one, other, rtol=1e-5, atol=1e-6):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    for left, right in pairs:
        np.testing.assert_allclose(left, right, rtol=rtol, atol=atol)
