"""Random numbers that do not depend on the order in which they are drawn."""

import numpy as np


def random_numbers(*keys):
    """Numbers that depend on the keys alone, evenly distributed over uint64.

    A round of SplitMix64 for each key. NumPy's generators would need one generator an
    image, and so a loop over the images.

    Args:
        *keys: Integers or arrays of integers, broadcast against each other. By
            convention the seed, what the number is for, and the image's id.

    Returns:
        uint64 array of the broadcast shape, at least `(1,)`.

    Example:

    >>> numbers = random_numbers(0, 1, np.arange(5))
    >>> numbers.shape, np.array_equal(numbers[3:], random_numbers(0, 1, [3, 4]))
    ((5,), True)

    Reference:
        Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators"
    """
    state = np.zeros(1, "uint64")
    for key in keys:
        state = state ^ np.asarray(key).astype("uint64")
        state = state + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state
