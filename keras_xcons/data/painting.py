"""The colours of the shapes set: tones that contrast, hues that tell nothing."""

import numpy as np


def palette(objects, backgrounds):
    """RGB `(n, 3)` of the two background tones and of the object, in 0..255."""
    dark = 0.08 + 0.27 * backgrounds["tone"]
    less_dark = dark + 0.14 + 0.12 * backgrounds["step"]
    swap = backgrounds["order"] < 0.5
    tones = (
        np.where(swap, less_dark, dark),
        np.where(swap, dark, less_dark),
        0.72 + 0.23 * objects["tone"],
    )
    # Half of the samples are the negative: a dark object on light tones.
    negative = objects["polarity"] < 0.5
    first, second, tone = (np.where(negative, 1 - tone, tone) for tone in tones)
    return (
        _colour(first, 0.05 + 0.15 * backgrounds["chroma0"], backgrounds["hue0"]),
        _colour(second, 0.05 + 0.15 * backgrounds["chroma1"], backgrounds["hue1"]),
        _colour(tone, 0.05 + 0.20 * objects["chroma"], objects["hue"]),
    )


def _colour(tone, chroma, hue):
    """RGB of mean `tone`, moved by `chroma` in the direction of `hue`."""
    thirds = hue[:, None] - np.arange(3, dtype=np.float32) / np.float32(3)
    offset = chroma[:, None] * np.cos(np.float32(2 * np.pi) * thirds)
    return np.clip(tone[:, None] + offset, 0, 1) * 255


def paint(pattern, coverage, colours):
    """The object over the coloured pattern, uint8 `(n, H, W, 3)`."""
    first, second, colour = (channels[:, None, None, :] for channels in colours)
    images = np.empty((*pattern.shape, 3), np.uint8)
    for channel in range(3):
        low, high = first[..., channel], second[..., channel]
        plane = pattern * (high - low) + low
        plane += coverage * (colour[..., channel] - plane)
        # Adding a half makes the cast to uint8 round.
        images[..., channel] = plane + np.float32(0.5)
    return images
