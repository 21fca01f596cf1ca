import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import with_sample_ids
from keras_xcons.evaluation.reading import class_indices, inspect, parts
from keras_xcons.models import split
from tests.evaluation.colors import (
    IMAGES,
    LABELS,
    SIDE,
    batches,
    boxes,
    color_classifier,
    masks,
)


@pytest.fixture(scope="module")
def view():
    return split(color_classifier())


def look(view, *given, size=3, **arguments):
    return inspect(batches(*given, size=size), [view], **arguments)


@pytest.mark.parametrize("kind, truth", [("boxes", boxes), ("masks", masks)])
def test_what_is_found(view, kind, truth):
    facts = look(view, IMAGES, LABELS, truth())
    assert (facts.num_images, facts.image_size) == (5, (SIDE, SIDE))
    assert (facts.truth, facts.multi_label) == (kind, False)
    assert facts.class_counts == (3, 2)
    assert (facts.without_object, facts.weighted) == (0, False)


def test_images_without_an_object_are_counted(view):
    flat, empty = boxes(), masks()
    flat[1, 0, 2:] = flat[1, 0, :2]
    empty[[0, 3]] = 0.0
    assert look(view, IMAGES, LABELS, flat).without_object == 1
    assert look(view, IMAGES, LABELS, empty).without_object == 2


def test_a_third_part_of_one_number_an_image_is_a_weight(view):
    facts = look(view, IMAGES, LABELS, np.ones(5, "float32"))
    assert facts.weighted and facts.truth is None


def test_sample_ids_are_set_aside(view):
    dataset = with_sample_ids(batches(IMAGES, LABELS))
    assert inspect(dataset, [view]).num_images == 5


def test_one_hot_labels_are_of_one_class(view):
    hot = np.eye(2, dtype="float32")[LABELS]
    assert not look(view, IMAGES, hot).multi_label
    assert look(view, IMAGES, hot, multi_label=True).multi_label
    hot[4] = 1.0
    assert look(view, IMAGES, hot).multi_label
    np.testing.assert_array_equal(class_indices(hot[:4], False), LABELS[:4])
    np.testing.assert_array_equal(class_indices(hot, True), hot)
    np.testing.assert_array_equal(class_indices(LABELS[:, None], False), LABELS)


def test_float_labels_of_whole_numbers_are_indices(view):
    assert look(view, IMAGES, LABELS.astype("float32")).class_counts == (3, 2)


def test_a_class_without_images_is_counted_as_such(view):
    assert look(view, IMAGES, np.ones(5, "int32")).class_counts == (0, 5)


def test_parts_of_a_batch():
    images, labels, where = parts((IMAGES.astype("uint8"), LABELS, boxes()))
    assert images.dtype == "float32" and list(where) == ["boxes"]
    np.testing.assert_array_equal(labels, LABELS)


WRONG_BOXES = {
    "outside 0..1": [0.0, 0.0, 1.5, 1.0],
    "inverted": [0.5, 0.0, 0.25, 1.0],
    "not a number": [np.nan, 0.0, 1.0, 1.0],
}


@pytest.mark.parametrize("box", WRONG_BOXES.values(), ids=WRONG_BOXES)
def test_wrong_boxes_are_refused(view, box):
    wrong = boxes()
    wrong[4, 0] = box
    with pytest.raises(ValueError, match="`boxes` must be .*Received: boxes"):
        look(view, IMAGES, LABELS, wrong)


def test_wrong_masks_are_refused(view):
    with pytest.raises(ValueError, match="`masks` must have the shape .*Received"):
        look(view, IMAGES, LABELS, masks()[:, :4])
    grey = masks()
    grey[4, 0, 0] = 0.5
    with pytest.raises(ValueError, match="`masks` must be 1 .* 0 elsewhere"):
        look(view, IMAGES, LABELS, grey)


@pytest.mark.parametrize("label", [2, -1])
def test_labels_that_the_model_does_not_have_are_refused(view, label):
    labels = LABELS.copy()
    labels[4] = label
    with pytest.raises(ValueError, match=r"`labels` must be within 0\.\.1"):
        look(view, IMAGES, labels)


def test_wrong_multi_hot_labels_are_refused(view):
    with pytest.raises(ValueError, match=r"as the model has 2 classes.*\(3, 4\)"):
        look(view, IMAGES, np.ones((5, 4), "float32"))
    with pytest.raises(ValueError, match="must be 0 or 1.*maximum 0.5"):
        look(view, IMAGES, np.full((5, 2), 0.5, "float32"))


def test_whether_labels_are_multi_hot_can_be_said_but_not_against_them(view):
    hot = np.eye(2, dtype="float32")[LABELS]
    hot[[1, 4]] = 1.0
    with pytest.raises(ValueError, match="2 images do not have exactly one label"):
        look(view, IMAGES, hot, multi_label=False)
    with pytest.raises(ValueError, match=r"shape \(batch, 2\).*one index an image"):
        look(view, IMAGES, LABELS, multi_label=True)


def test_a_data_set_must_be_of_one_form(view):
    def different():
        yield IMAGES, LABELS
        yield IMAGES[:, :4], LABELS

    signature = (tf.TensorSpec((None, None, 8, 3)), tf.TensorSpec((None,), tf.int32))
    dataset = tf.data.Dataset.from_generator(different, output_signature=signature)
    import keras

    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 1)(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    any_size = split(keras.Model(images, keras.layers.Dense(2)(x)))
    with pytest.raises(ValueError, match=r"images of one size.*\(8, 8, 3\).*\(4, 8, 3"):
        inspect(dataset, [any_size])


def test_wrong_images_are_refused(view):
    with pytest.raises(TypeError, match="must be numbers.*dtype string"):
        look(view, np.array(["a"] * 5), LABELS)
    with pytest.raises(ValueError, match="finite and within 0..255"):
        look(view, IMAGES * 2, LABELS)
    with pytest.raises(ValueError, match=r"as the model takes them.*\(3, 4, 8, 3\)"):
        look(view, IMAGES[:, :4], LABELS)
    # Images of no area at all.
    with pytest.raises(ValueError, match=r"as the model takes them.*\(3, 0, 8, 3\)"):
        look(view, IMAGES[:, :0], LABELS)


def test_an_image_of_no_area_is_refused_by_a_model_that_takes_any_size():
    import keras

    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 1)(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    any_size = split(keras.Model(images, keras.layers.Dense(2)(x)))
    with pytest.raises(ValueError, match=r"no pixel.*\(3, 0, 8, 3\)"):
        look(any_size, IMAGES[:, :0], LABELS)


def test_other_data_sets_are_refused(view):
    with pytest.raises(ValueError, match="to evaluate on is empty"):
        inspect(batches(IMAGES, LABELS).take(0), [view])
    with pytest.raises(ValueError, match="must end. Received: an endless"):
        inspect(batches(IMAGES, LABELS).repeat(), [view])
    with pytest.raises(TypeError, match="a tf.data.Dataset.*type list"):
        inspect([(IMAGES, LABELS)], [view])
    with pytest.raises(ValueError, match=r"third part.*shape \(3, 7\)"):
        look(view, IMAGES, LABELS, np.zeros((5, 7), "float32"))
    with pytest.raises(ValueError, match="batches .*Received: batches of one part"):
        inspect(tf.data.Dataset.from_tensor_slices(IMAGES).batch(2), [view])
    with pytest.raises(ValueError, match="Received: batches of 4 parts"):
        look(view, IMAGES, LABELS, boxes(), masks())


def test_models_of_other_classes_are_not_compared(view):
    import keras

    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(2, 1)(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    other = split(keras.Model(images, keras.layers.Dense(3)(x)))
    with pytest.raises(ValueError, match="models with 2 and 3 classes"):
        inspect(batches(IMAGES, LABELS), [view, other])
