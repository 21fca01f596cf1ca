"""TFDS directories that the catalog does not know."""

import numpy as np
import pytest

from keras_xcons import data

tfds = pytest.importorskip("tensorflow_datasets")
FEATURES = tfds.features
IMAGE = FEATURES.Image(shape=(None, None, 3))
CLASSES = FEATURES.ClassLabel(names=["ape", "bee", "cow"])


@pytest.fixture
def write(tmp_path, write_tfds):
    """Writes a set with these features and returns its directory."""

    def write(features, examples, name="mine"):
        features = FEATURES.FeaturesDict(features)
        write_tfds(tmp_path, name, {"train": examples}, features)
        return tmp_path / name

    return write


def mask_of(*values):
    mask = np.full((40, 60, 1), values[0], np.uint8)
    for place, value in enumerate(values[1:]):
        mask[10:30, 10 + 20 * place : 30 + 20 * place] = value
    return mask


def test_image_and_label(write, picture):
    features = {"image": IMAGE, "label": CLASSES}
    folder = write(features, [{"image": picture(), "label": 2}])
    info = data.info(folder)
    assert info == data.DatasetInfo(
        "mine", ("ape", "bee", "cow"), {"train": 1}, None, False
    )
    ((image, label),) = data.load(folder, image_size=None)
    np.testing.assert_array_equal(image, picture())
    assert label == 2
    with pytest.raises(ValueError, match="'mine' has neither boxes nor masks"):
        data.load(folder, annotations=True)


def test_the_version_folder_and_the_newest_version(tmp_path, picture):
    for version, label in (("1.0.0", 0), ("10.0.0", 1), ("9.0.0", 2)):
        tfds.dataset_builders.store_as_tfds_dataset(
            name="mine",
            version=version,
            features=FEATURES.FeaturesDict({"image": IMAGE, "label": CLASSES}),
            split_datasets={"train": [(0, {"image": picture(), "label": label})]},
            data_dir=tmp_path,
        )
    ((_, label),) = data.load(tmp_path / "mine", image_size=32)
    assert label == 1
    ((_, label),) = data.load(str(tmp_path / "mine" / "9.0.0"), image_size=32)
    assert label == 2


def test_one_box(write, picture):
    features = {"image": IMAGE, "label": CLASSES, "bbox": FEATURES.BBoxFeature()}
    box = FEATURES.BBox(0.1, 0.2, 0.3, 0.4)
    folder = write(features, [{"image": picture(), "label": 0, "bbox": box}])
    ((_, _, boxes),) = data.load(folder, image_size=32, annotations=True)
    np.testing.assert_allclose(boxes, [[0.1, 0.2, 0.3, 0.4]])


@pytest.mark.parametrize("with_label", [True, False])
def test_objects(with_label, write, picture):
    one = {"label": CLASSES, "bbox": FEATURES.BBoxFeature()}
    features = {"image": IMAGE, "objects": FEATURES.Sequence(one)}
    boxes = [FEATURES.BBox(0.0, 0.0, 0.5, 0.5), FEATURES.BBox(0.25, 0.5, 1.0, 1.0)]
    objects = [{"label": label, "bbox": box} for label, box in enumerate(boxes)]
    example = {"image": picture(), "objects": objects}
    if with_label:
        features["label"], example["label"] = CLASSES, 2
    folder = write(features, [example])
    assert data.info(folder).multi_label is not with_label
    ((_, label, found),) = data.load(folder, image_size=32, annotations=True)
    np.testing.assert_array_equal(label, 2 if with_label else [1, 1, 0])
    np.testing.assert_allclose(found[:2], boxes)
    assert found.shape == (128, 4) and not np.any(found[2:])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((2, 1, 3), (0, 1, 1)),
        ((0, 1), (0, 1)),
        ((0, 255, 128), (0, 1, 1)),
        ((0, 3, 2), (0, 1, 1)),
    ],
    ids=["trimap", "binary", "grey", "classes"],
)
def test_masks(values, expected, write, picture):
    mask = FEATURES.Image(shape=(None, None, 1))
    features = {"image": IMAGE, "label": CLASSES, "segmentation_mask": mask}
    example = {"image": picture(), "label": 0, "segmentation_mask": mask_of(*values)}
    folder = write(features, [example])
    assert data.info(folder).annotations == "masks"
    ((_, _, found),) = data.load(folder, image_size=(40, 60), annotations=True)
    np.testing.assert_array_equal(found, mask_of(*expected))


def test_grey_images_become_rgb(write, picture):
    features = {"image": FEATURES.Image(shape=(None, None, 1)), "label": CLASSES}
    folder = write(features, [{"image": picture()[..., :1], "label": 1}])
    ((image, _),) = data.load(folder, image_size=None)
    np.testing.assert_array_equal(image, np.repeat(picture()[..., :1], 3, axis=-1))


def test_known_names_keep_their_adapter(write, picture):
    mask = FEATURES.Image(shape=(None, None, 1))
    features = {
        "image": IMAGE,
        "label": CLASSES,
        "segmentation_mask": mask,
        "bbox": FEATURES.BBoxFeature(),
    }
    example = {
        "image": picture(),
        "label": 1,
        "segmentation_mask": mask_of(0, 255),
        "bbox": FEATURES.BBox(0.0, 0.0, 1.0, 1.0),
    }
    assert data.info(write(features, [example])).annotations == "masks"
    birds = write(features, [example], name="caltech_birds2011")
    assert data.info(birds).annotations == "boxes"


def test_labels_of_minus_one_are_refused(write, picture):
    features = {"image": IMAGE, "label": CLASSES}
    folder = write(features, [{"image": picture(), "label": -1}])
    with pytest.raises(ValueError, match="has no labels in this split: they are -1"):
        data.load(folder)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"image": IMAGE, "name": FEATURES.Text()}, "no class labels.*backgrounds"),
        ({"image": IMAGE, "label": FEATURES.Scalar(np.int64)}, "no class labels"),
        ({"picture": IMAGE, "label": CLASSES}, "no feature 'image'.*'picture'"),
        (
            {"image": FEATURES.Image(shape=(None, None, 4)), "label": CLASSES},
            "uint8 with 1 or 3 channels",
        ),
    ],
    ids=["no label", "label no class", "no image", "transparent"],
)
def test_what_is_not_recognised_is_refused(features, message, write, picture):
    values = {"name": "x", "label": 0, "picture": picture(), "image": picture()}
    if "image" in features and features["image"].shape[-1] == 4:
        values["image"] = np.zeros((8, 8, 4), np.uint8)
    folder = write(features, [{key: values[key] for key in features}])
    with pytest.raises(ValueError, match=message):
        data.load(folder)


def test_a_broken_directory_is_a_clear_error(tmp_path):
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(
        ValueError, match="TFDS directory cannot be read.*Received: dir"
    ):
        data.info(tmp_path)
