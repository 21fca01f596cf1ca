"""The generated shapes set: drawn objects on textures, with exact masks.

Ten silhouettes stand on ten textures. In training the texture predicts the class
nearly always, so a classifier can take the background for the object; the two
mixed splits take this shortcut away and measure it, as the background challenge
of ImageNet-9 does (Xiao et al. 2020, https://arxiv.org/abs/2006.09994).
"""

import concurrent.futures
import os

import numpy as np

from keras_xcons import checks
from keras_xcons.data import arguments, painting, silhouettes, textures

CLASS_NAMES = silhouettes.CLASS_NAMES
# Number of images of each split, unless the caller says otherwise.
SPLITS = {
    "train": 4000,
    "validation": 500,
    "original": 1000,
    "mixed_same": 1000,
    "mixed_rand": 1000,
}
IMAGE_SIZE = 64
CORRELATION = 0.95

# Streams of random numbers. The three test splits share their objects; the two
# mixed splits also share all of their backgrounds but the texture family.
_OBJECT_STREAM = {"train": 0, "validation": 1}
_TEST_OBJECTS = 2
_BACKGROUND_STREAM = {"train": 3, "validation": 4, "original": 5}
_MIXED_BACKGROUNDS = 6
_OBJECT_DRAWS = ("x", "y", "area", "angle", "tone", "chroma", "hue", "polarity")
_BACKGROUND_DRAWS = (
    *("keep", "family", "scale", "angle", "u", "v", "salt", "order"),
    *("tone", "step", "chroma0", "chroma1", "hue0", "hue1"),
)
# Share of the image (of its largest square) that an object covers.
_AREA = (0.10, 0.22)
# Objects are turned by at most this much either way.
_TURN = np.pi / 6


class ShapesRenderer:
    """Draws any range of samples of one split of the shapes set.

    `shapes` draws a whole split at once; this class is what it and the
    `tf.data` pipeline of `load` are made of.

    Args:
        split: Name of the split, see `shapes`. Defaults to `"train"`.
        num_samples: int or `None`, see `shapes`. Defaults to `None`.
        image_size: int or `(height, width)`, see `shapes`. Defaults to 64.
        seed: int, see `shapes`. Defaults to 0.
        correlation: float, see `shapes`. Defaults to 0.95.

    Raises:
        ValueError: As `shapes`.

    Example:

    >>> renderer = ShapesRenderer("original", num_samples=1000)
    >>> images, labels, masks = renderer(990, 1000)
    >>> images.shape
    (10, 64, 64, 3)
    """

    def __init__(
        self,
        split="train",
        num_samples=None,
        image_size=IMAGE_SIZE,
        seed=0,
        correlation=CORRELATION,
    ):
        if split not in SPLITS:
            raise ValueError(checks.unknown("split", split, SPLITS))
        self.num_samples = SPLITS[split] if num_samples is None else num_samples
        arguments.check_count(self.num_samples, "num_samples", arguments.MOST_GENERATED)
        self.image_size = arguments.check_image_size(image_size)
        arguments.check_seed(seed)
        check_correlation(correlation)
        self._objects = _uniforms(
            seed,
            _OBJECT_STREAM.get(split, _TEST_OBJECTS),
            self.num_samples,
            _OBJECT_DRAWS,
        )
        self._backgrounds = _uniforms(
            seed,
            _BACKGROUND_STREAM.get(split, _MIXED_BACKGROUNDS),
            self.num_samples,
            _BACKGROUND_DRAWS,
        )
        # Classes follow each other in turn, so that every prefix is balanced.
        labels = np.arange(self.num_samples) % len(CLASS_NAMES)
        self.labels = labels.astype(np.int32)
        self._families = _families(split, self.labels, self._backgrounds, correlation)

    def __call__(self, start, stop):
        """Draws the samples `start` to `stop - 1`.

        Returns:
            `(images, labels, masks)`, see `shapes`, for this range.
        """
        rows = slice(start, stop)
        labels = self.labels[rows]
        height, width = self.image_size
        shape = len(labels), height, width
        x, y = (
            (np.arange(side, dtype=np.float32) + np.float32(0.5))
            / np.float32(min(self.image_size))
            for side in (width, height)
        )
        pattern, coverage = np.empty(shape, np.float32), np.empty(shape, np.float32)
        families, backgrounds = self._families[rows], _take(self._backgrounds, rows)
        for family in np.unique(families):
            group = np.flatnonzero(families == family)
            field = textures.Field(x, y, _take(backgrounds, group))
            pattern[group] = textures.TEXTURES[family](field)
        objects = _take(self._objects, rows)
        for label in np.unique(labels):
            group = np.flatnonzero(labels == label)
            coverage[group] = _coverage(label, _take(objects, group), x, y)
        images = painting.paint(
            pattern, coverage, painting.palette(objects, backgrounds)
        )
        return images, labels, (coverage > 0).astype(np.uint8)[..., None]

    @property
    def chunk(self):
        """Samples a call that keep the working arrays in the processor's cache."""
        height, width = self.image_size
        return max(len(CLASS_NAMES), 2**18 // (height * width))


def shapes(
    split="train",
    num_samples=None,
    image_size=IMAGE_SIZE,
    seed=0,
    correlation=CORRELATION,
):
    """Draws a split of the shapes set.

    Objects differ in position, area (10 to 22 % of the image), turn (up to 30
    degrees either way) and colour, none of which tells the class; an object is
    lighter than its background or darker. Splits:

    - `"train"`, `"validation"` and `"original"` (the test set): the background is
      the class's own texture with probability `correlation`, else that of another
      class;
    - `"mixed_same"`: the objects of `"original"`, each on a fresh draw of its
      class's own texture;
    - `"mixed_rand"`: the objects of `"original"`, each on the texture of a class
      drawn from all ten; scale, angle, colours are those of `"mixed_same"`.

    Sample i of the last three is one and the same object, and it depends on i,
    `split` and `seed` alone, not on `num_samples`. Its class is i modulo 10. The
    image size changes the resolution, not what is drawn. All of this is our
    choice.

    Args:
        split: Name of the split. Defaults to `"train"`.
        num_samples: int of at least 1, or `None` for 4000 (`"train"`), 500
            (`"validation"`) or 1000 (the others). Defaults to `None`.
        image_size: int or `(height, width)` in pixels, each at least 16. Defaults
            to 64.
        seed: int in 0..2**31 - 1. Another seed is another data set. Defaults to 0.
        correlation: float in 0..1, how often the background of `"train"`,
            `"validation"` and `"original"` is the class's own. Defaults to 0.95.

    Returns:
        `(images, labels, masks)`: uint8 `(N, H, W, 3)`, int32 `(N,)` and uint8
        `(N, H, W, 1)`, 1 wherever the object covers any of the pixel's colour
        and 0 elsewhere.

    Raises:
        ValueError: The split is unknown, or a number is out of its range.

    Example:

    >>> images, labels, masks = shapes("mixed_rand", num_samples=20)
    >>> images.shape, masks.shape, CLASS_NAMES[labels[3]]
    ((20, 64, 64, 3), (20, 64, 64, 1), 'star')
    """
    render = ShapesRenderer(split, num_samples, image_size, seed, correlation)
    height, width = render.image_size
    images = np.empty((render.num_samples, height, width, 3), np.uint8)
    masks = np.empty((render.num_samples, height, width, 1), np.uint8)

    def draw(start):
        rows = slice(start, start + render.chunk)
        images[rows], _, masks[rows] = render(rows.start, rows.stop)

    # NumPy lets go of the interpreter lock: threads use all cores.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(draw, range(0, render.num_samples, render.chunk)))
    return images, render.labels, masks


def check_correlation(value):
    """Refuses what is not a number in 0..1."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(
            f"`correlation` must be a number in 0..1. Received: correlation={value!r}"
        )


def _uniforms(seed, stream, count, names):
    """`{name: float32 (count,) in [0, 1)}`; entry i is the same for any count."""
    # `random_raw`, because NumPy keeps the streams of its bit generators from
    # release to release, but not those of Generator's methods.
    raw = np.random.PCG64(np.random.SeedSequence((int(seed), stream))).random_raw(
        count * len(names)
    )
    table = (raw >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    columns = table.reshape(count, len(names)).T.copy()
    return dict(zip(names, columns, strict=True))


def _take(draws, rows):
    return {name: values[rows] for name, values in draws.items()}


def _families(split, labels, draws, correlation):
    """The texture family of each sample's background."""
    if split == "mixed_same":
        return labels
    classes = len(CLASS_NAMES)
    if split == "mixed_rand":
        return (draws["family"] * classes).astype(np.int32)
    others = labels + 1 + (draws["family"] * (classes - 1)).astype(np.int32)
    return np.where(draws["keep"] < correlation, labels, others % classes)


def _coverage(label, draws, x, y):
    """How much of each pixel's colour is the object's, `(n, H, W)` in 0..1.

    The outline is softened by one pixel inwards: outside the object the coverage
    is exactly zero, so that the mask is exact.
    """
    area, (u_centre, v_centre), radius = silhouettes.geometry(int(label))
    low, high = _AREA
    scale = np.sqrt((low + (high - low) * draws["area"]) / np.float32(area))
    reach = scale * np.float32(radius)
    pixel = x[1] - x[0]
    # An object whose reach exceeds half the image stands in the middle.
    x_room = np.maximum(x[-1] + x[0] - 2 * reach, 0)
    y_room = np.maximum(y[-1] + y[0] - 2 * reach, 0)
    dx = (x - (reach + draws["x"] * x_room)[:, None])[:, None, :]
    dy = (y - (reach + draws["y"] * y_room)[:, None])[:, :, None]
    angle = np.float32(_TURN) * (2 * draws["angle"] - 1)
    cos = (np.cos(angle) / scale)[:, None, None]
    sin = (np.sin(angle) / scale)[:, None, None]
    u = dx * cos + (dy * sin + np.float32(u_centre))
    v = dy * cos + (np.float32(v_centre) - dx * sin)
    level = silhouettes.SILHOUETTES[label](u, v)
    return np.clip(level * (-scale / pixel)[:, None, None], 0, 1)
