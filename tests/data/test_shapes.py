import numpy as np
import pytest

from keras_xcons.data import silhouettes, textures
from keras_xcons.data.shapes import CLASS_NAMES, SPLITS, ShapesRenderer, shapes


@pytest.fixture(scope="module")
def splits():
    return {split: shapes(split, num_samples=200) for split in SPLITS}


def families(split, num_samples=3000, **arguments):
    renderer = ShapesRenderer(split, num_samples, **arguments)
    return renderer._families, renderer.labels


def test_defaults_are_those_documented():
    assert SPLITS == {
        "train": 4000,
        "validation": 500,
        "original": 1000,
        "mixed_same": 1000,
        "mixed_rand": 1000,
    }
    images, labels, masks = shapes("validation")
    assert images.shape == (500, 64, 64, 3) and images.dtype == np.uint8
    assert labels.shape == (500,) and labels.dtype == np.int32
    assert masks.shape == (500, 64, 64, 1) and masks.dtype == np.uint8
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 10


@pytest.mark.parametrize("split", SPLITS)
def test_a_sample_does_not_depend_on_how_many_there_are(split, splits):
    for few, many in zip(shapes(split, num_samples=37), splits[split], strict=True):
        np.testing.assert_array_equal(few, many[:37])


def test_a_range_is_drawn_as_the_whole():
    images, labels, masks = shapes("train", num_samples=50)
    part = ShapesRenderer("train", num_samples=50)(13, 31)
    for whole, piece in zip((images, labels, masks), part, strict=True):
        np.testing.assert_array_equal(whole[13:31], piece)


def test_the_seed_decides_the_images():
    first, again = (shapes("train", 20, seed=3)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != shapes("train", 20, seed=4)[0]).mean() > 0.5


def test_splits_have_different_images(splits):
    for one in SPLITS:
        for other in SPLITS:
            if one < other:
                same = (splits[one][0] == splits[other][0]).all((1, 2, 3))
                # Of the mixed splits, those that by chance kept the own texture.
                most = 40 if {one, other} == {"mixed_same", "mixed_rand"} else 0
                assert same.sum() <= most


def test_prefixes_are_balanced(splits):
    np.testing.assert_array_equal(np.bincount(splits["train"][1]), [20] * 10)


def test_test_splits_share_their_objects(splits):
    original, _, masks = splits["original"]
    inside = masks[..., 0] == 1
    # The outermost ring of pixels of an object is blended with the background.
    core = inside.copy()
    for axis in (1, 2):
        for step in (1, -1):
            core &= np.roll(inside, step, axis)
    assert core.sum() > 0.5 * inside.sum()
    for split in ("mixed_same", "mixed_rand"):
        images, labels, other = splits[split]
        np.testing.assert_array_equal(other, masks)
        np.testing.assert_array_equal(labels, splits["original"][1])
        difference = np.abs(images[core].astype(int) - original[core])
        # A pixel that the outline cuts obliquely may still be a little blended.
        assert np.quantile(difference, 0.9) == 0
        assert (images[~inside] != original[~inside]).mean() > 0.8


def test_mixed_splits_differ_in_the_texture_family_alone(splits):
    own, labels = families("mixed_same", 200)
    random, _ = families("mixed_rand", 200)
    np.testing.assert_array_equal(own, labels)
    same = own == random
    assert 5 <= same.sum() <= 40
    difference = splits["mixed_same"][0] != splits["mixed_rand"][0]
    np.testing.assert_array_equal(difference.any((1, 2, 3)), ~same)


@pytest.mark.parametrize("split", ["train", "validation", "original"])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95, 1.0])
def test_background_predicts_the_class_as_often_as_asked(split, correlation):
    own, labels = families(split, correlation=correlation)
    assert np.mean(own == labels) == pytest.approx(correlation, abs=0.03)
    strangers = own[own != labels]
    if strangers.size:
        assert np.bincount(strangers, minlength=10).min() > 0


@pytest.mark.parametrize("correlation", [0.0, 1.0])
def test_mixed_rand_says_nothing_of_the_class(correlation):
    random, labels = families("mixed_rand", correlation=correlation)
    assert np.mean(random == labels) == pytest.approx(0.1, abs=0.02)
    assert np.bincount(random).min() > 200


def test_neither_area_place_nor_colour_tells_the_class():
    images, labels, masks = shapes("train", 2000, image_size=32, correlation=0.1)
    inside = masks[..., 0].astype(float)
    axis = (np.arange(32) + 0.5) / 32
    area = inside.mean((1, 2))
    cues = np.stack(
        [
            area,
            (inside * axis[None, :, None]).mean((1, 2)) / area,
            (inside * axis[None, None, :]).mean((1, 2)) / area,
            *(np.where(masks == 1, images, 0).mean((1, 2)) / area[:, None]).T,
        ]
    )
    for cue in cues:
        by_class = np.array([cue[labels == label].mean() for label in range(10)])
        # 200 images a class: the standard error of a mean is 0.07 deviations.
        assert np.abs(by_class - cue.mean()).max() < 0.35 * cue.std()


def test_area_is_within_the_documented_range(splits):
    for _, _, masks in splits.values():
        area = masks.mean((1, 2, 3))
        assert area.min() > 0.09 and area.max() < 0.23
        assert area.std() > 0.02


def test_objects_are_whole(splits):
    # A mask may touch the edge of the image, but no object is cut off by it.
    large = shapes("train", 40, image_size=128)[2].mean((1, 2, 3))
    small = splits["train"][2][:40].mean((1, 2, 3))
    np.testing.assert_allclose(small, large, atol=0.006)


def test_objects_contrast_with_what_is_around_them(splits):
    images, _, masks = splits["mixed_rand"]
    grey = images.mean(-1)
    inside = masks[..., 0] == 1
    for tones, within in zip(grey, inside, strict=True):
        assert abs(tones[within].mean() - tones[~within].mean()) > 40


def test_objects_and_backgrounds_come_in_all_hues(splits):
    images, _, masks = splits["original"]
    for part in (masks == 1, masks == 0):
        colour = (images * part).sum((1, 2)) / part.sum((1, 2))
        largest = np.bincount(colour.argmax(-1), minlength=3)
        assert largest.min() > 30


def test_image_size_changes_the_resolution_not_the_content():
    small = shapes("train", 30, image_size=32)[0].astype(float)
    large = shapes("train", 30, image_size=128)[0].astype(float)
    reduced = large.reshape(30, 32, 4, 32, 4, 3).mean((2, 4))
    assert np.abs(small - reduced).mean() < 20


@pytest.mark.parametrize("size", [16, (16, 40), (50, 20)])
def test_any_size_is_drawn(size):
    images, _, masks = shapes("mixed_rand", 20, image_size=size)
    height, width = (size, size) if isinstance(size, int) else size
    assert images.shape == (20, height, width, 3)
    assert masks.shape == (20, height, width, 1)
    assert (masks.sum((1, 2, 3)) > 0.05 * min(height, width) ** 2).all()


@pytest.mark.parametrize("label", range(10))
def test_silhouettes_are_levels_of_their_outline(label):
    area, centroid, radius = silhouettes.geometry(label)
    assert 0.5 < radius < 1.6 and 0.8 < area < 4.1
    angle = np.linspace(0, 2 * np.pi, 360)
    u, v = (
        c + 1.001 * radius * f(angle)
        for c, f in zip(centroid, (np.cos, np.sin), strict=True)
    )
    level = silhouettes.SILHOUETTES[label](u, v)
    # Nothing of the object lies beyond its radius, and something lies near it.
    assert (level > -0.01).all() and level.min() < 0.05


def test_known_areas():
    areas = {name: silhouettes.geometry(i)[0] for i, name in enumerate(CLASS_NAMES)}
    assert areas["circle"] == pytest.approx(np.pi, rel=0.01)
    assert areas["square"] == pytest.approx(4, rel=0.01)
    assert areas["triangle"] == pytest.approx(3 * np.sqrt(3) / 4, rel=0.01)
    assert areas["ring"] == pytest.approx(np.pi * (1 - 0.55**2), rel=0.01)
    assert areas["heart"] == pytest.approx(1 + np.pi / 4, rel=0.01)
    # A pentagram of circumradius 1.
    assert areas["star"] == pytest.approx(1.1226, rel=0.01)
    assert areas["hourglass"] == pytest.approx(1.5, rel=0.01)


@pytest.mark.parametrize("texture", textures.TEXTURES)
def test_textures_fill_the_range(texture):
    rng = np.random.default_rng(0)
    axis = ((np.arange(64) + 0.5) / 64).astype(np.float32)
    names = ("scale", "angle", "u", "v", "salt")
    draws = {name: rng.random(8, dtype=np.float32) for name in names}
    pattern = texture(textures.Field(axis, axis, draws))
    assert pattern.shape == (8, 64, 64) and pattern.dtype == np.float32
    assert pattern.min() >= 0 and pattern.max() <= 1
    assert (np.ptp(pattern, axis=(1, 2)) > 0.4).all()
    assert 0.1 < pattern.mean() < 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tests"}, "Unknown split.*'mixed_rand'.*Received: split='tests'"),
        ({"split": "mixed-rand"}, "Did you mean 'mixed_rand'"),
        ({"num_samples": 0}, "at least 1. Received: num_samples=0"),
        ({"num_samples": 2.5}, "Received: num_samples=2.5"),
        ({"image_size": 15}, "at least 16 pixels a side. Received: image_size=15"),
        ({"image_size": (64, 8)}, "at least 16 pixels"),
        ({"image_size": "64"}, "Received: image_size='64'"),
        ({"seed": -1}, r"0..2\*\*31 - 1. Received: seed=-1"),
        ({"seed": 2**31}, "Received: seed=2147483648"),
        ({"seed": 0.5}, "Received: seed=0.5"),
        ({"correlation": 1.01}, "number in 0..1. Received: correlation=1.01"),
        ({"correlation": -0.1}, "Received: correlation=-0.1"),
        ({"correlation": "high"}, "Received: correlation='high'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        shapes(**arguments)
