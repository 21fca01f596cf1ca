import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import with_sample_ids
from keras_xcons.methods import XConsModel
from keras_xcons.models import create
from keras_xcons.models.offset import Offset, remember_offset
from keras_xcons.protopnet.patches import (
    activated_boxes,
    prototype_maps,
    prototype_similarities,
    source_images,
)
from keras_xcons.protopnet.push import draw_prototypes, push_prototypes
from keras_xcons.protopnet.stages import PrototypeStages, StageSchedule
from keras_xcons.protopnet.view import prototype_view
from tests.protopnet.protopnets import COUNT, arrays, classifier, dataset, trainer


def nearest_by_hand(model):
    """The image, the cell and the patch that each prototype must become."""
    view = prototype_view(model)
    images, labels = arrays()
    patches = view.space.predict(images, verbose=0)
    prototypes = view.layer.prototypes.numpy()
    found = []
    for prototype, label in zip(prototypes, view.classes, strict=True):
        distances = ((patches - prototype) ** 2).sum(-1)
        distances[labels != label] = np.inf
        image, place = np.unravel_index(distances.argmin(), distances.shape)
        cell = divmod(place, view.grid[1])
        found.append((image, cell, patches[image, place], distances.min()))
    return [np.array(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize("batch", [1, 7, 18])
def test_prototypes_become_the_nearest_patches_of_their_class(batch):
    model = classifier([1, 3, 2])
    images, cells, patches, distances = nearest_by_hand(model)
    data = tf.data.Dataset.from_tensor_slices(arrays()).batch(batch)
    moved = push_prototypes(model, data)
    layer = model.get_layer("prototypes")
    np.testing.assert_array_equal(layer.source_image, images)
    np.testing.assert_array_equal(layer.source_cell, cells)
    np.testing.assert_allclose(layer.prototypes, patches, atol=1e-5)
    np.testing.assert_allclose(moved, distances, rtol=1e-3)
    assert (arrays()[1][images] == prototype_view(model).classes).all()
    # At its source a prototype is as similar as can be.
    similarities = prototype_similarities(model, arrays()[0])
    peak = similarities[images, np.arange(6)]
    assert peak.min() > 0.95 * np.log(1e4)
    again = push_prototypes(model, data)
    assert again.max() < 1e-5
    np.testing.assert_array_equal(layer.source_image, images)


def test_a_planted_patch_is_found():
    model = classifier(1)
    view = prototype_view(model)
    images, labels = arrays()
    planted = view.space.predict(images, verbose=0)[[4, 10, 11], [3, 9, 0]]
    # The second one is the same patch, but of an image of another class.
    view.layer.prototypes.assign(planted + 1e-4)
    push_prototypes(model, dataset())
    assert labels[[4, 10, 11]].tolist() == [1, 1, 2]
    assert view.layer.source_image.numpy()[2] == 11
    assert view.layer.source_cell.numpy()[2].tolist() == [0, 0]
    assert view.layer.source_image.numpy()[0] != 4
    assert view.layer.source_image.numpy()[1] == 10
    assert view.layer.source_cell.numpy()[1].tolist() == [2, 1]


def test_the_box_is_where_the_prototype_looks():
    model = classifier()
    push_prototypes(model, dataset())
    layer = model.get_layer("prototypes")
    top, left, bottom, right = layer.source_box.numpy().T
    assert (0 <= top).all() and (top < bottom).all() and (bottom <= 1).all()
    assert (0 <= left).all() and (left < right).all() and (right <= 1).all()
    # The middle of its cell, one of 4 x 4, lies in the box.
    row, column = (layer.source_cell.numpy().T + 0.5) / 4
    slack = 1 / 32
    assert ((top - slack <= row) & (row <= bottom + slack)).all()
    assert ((left - slack <= column) & (column <= right + slack)).all()


def test_the_box_lies_where_the_maps_of_the_trainer_lie():
    def pushed(align, offset=None):
        """The boxes, and those of the maps that the push has seen."""
        model = classifier()
        if offset:
            remember_offset(model, "features", offset)
        layer = model.get_layer("prototypes")
        before = layer.prototypes.numpy()
        made = trainer(model, keras.optimizers.SGD(0.0), XConsModel, align=align)
        # An epoch of the warm stage, which leaves all as it is.
        schedule = StageSchedule(warm_epochs=1, push_start=1, last_epochs=0)
        stages = PrototypeStages(dataset(), schedule)
        made.fit(dataset(), epochs=1, verbose=0, callbacks=[stages])
        boxes = layer.source_box.numpy()
        layer.prototypes.assign(before)
        images = arrays()[0][layer.source_image.numpy()]
        maps = prototype_maps(made, images, np.arange(len(images)))
        return boxes, activated_boxes(maps)

    still, moved = pushed(False), pushed((8, -4))
    for boxes, expected in (still, moved):
        np.testing.assert_allclose(boxes, expected, atol=1e-6)
    assert np.abs(moved[0] - still[0]).max() >= 4 / 32
    # A cell is 8 px.
    np.testing.assert_array_equal(pushed(True, Offset(1.0, -0.5)), moved)


def test_sample_ids_and_one_hot_labels_are_taken():
    one, two = classifier(), classifier()
    push_prototypes(one, dataset())
    images, labels = arrays()
    hot = np.eye(3, dtype="float32")[labels]
    data = tf.data.Dataset.from_tensor_slices((images, hot))
    shuffled = with_sample_ids(data).shuffle(COUNT, seed=1).batch(4)
    push_prototypes(two, shuffled)
    for left, right in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)
    sources = source_images(two, shuffled)
    wanted = two.get_layer("prototypes").source_image.numpy()
    assert set(sources) == set(wanted.tolist())
    for number, image in sources.items():
        np.testing.assert_array_equal(image, images[number])


def test_drawn_anew_they_come_from_no_image():
    model = classifier()
    push_prototypes(model, dataset())
    draw_prototypes(model, dataset())
    layer = model.get_layer("prototypes")
    assert not layer.pushed
    assert np.all(layer.source_cell.numpy() == -1)
    assert np.all(layer.source_box.numpy() == 0.0)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda data: arrays(), TypeError, "must be a tf.data.Dataset"),
        (lambda data: data.repeat(), ValueError, "an endless dataset"),
        (lambda data: data.map(lambda x, y: x), ValueError, "Received: elements of"),
        (lambda data: data.unbatch(), ValueError, "must be a batch of rank 4"),
        (
            lambda data: data.map(lambda x, y: (x[:, 1:], y)),
            ValueError,
            "as the model takes them",
        ),
        (
            lambda data: data.map(lambda x, y: (x, y + 1)),
            ValueError,
            "`labels` must be within 0..2",
        ),
    ],
)
def test_bad_data_are_refused(change, error, message):
    model = classifier()
    for function in (push_prototypes, draw_prototypes):
        with pytest.raises(error, match=message):
            function(model, change(dataset()))
    assert not model.get_layer("prototypes").pushed


def test_of_equal_patches_the_first_is_taken():
    model = classifier(1)
    images, labels = arrays()
    same = np.repeat(images[:3], 6, axis=0)
    data = tf.data.Dataset.from_tensor_slices((same, np.repeat(labels[:3], 6)))
    push_prototypes(model, data.batch(4))
    assert model.get_layer("prototypes").source_image.numpy().tolist() == [0, 6, 12]


def test_prototypes_are_drawn_from_the_patches_of_their_class():
    model = classifier(4)
    draw_prototypes(model, dataset())
    view = prototype_view(model)
    drawn = view.layer.prototypes.numpy()
    images, labels = arrays()
    patches = view.space.predict(images, verbose=0)
    for prototype, label in zip(drawn, view.classes, strict=True):
        own = patches[labels == label].reshape(-1, patches.shape[-1])
        assert np.abs(own - prototype).max(-1).min() < 1e-5
    assert len(np.unique(drawn.round(5), axis=0)) > 6
    assert not view.layer.pushed
    same, other = classifier(4), classifier(4)
    draw_prototypes(same, dataset())
    draw_prototypes(other, dataset(), seed=1)
    for one, equal in ((same, True), (other, False)):
        prototypes = one.get_layer("prototypes").prototypes.numpy()
        assert np.allclose(prototypes, drawn, atol=1e-5) == equal


def test_a_high_power_draws_the_patch_of_the_highest_energy():
    model = classifier(2)
    draw_prototypes(model, dataset(), power=1e4)
    view = prototype_view(model)
    images, labels = arrays()
    features = model.get_layer("features").output
    energy = keras.Model(model.input, features).predict(images, verbose=0)
    energy = (energy**2).sum(-1).reshape(len(images), -1)
    patches = view.space.predict(images, verbose=0)
    for prototype, label in zip(
        view.layer.prototypes.numpy(), view.classes, strict=True
    ):
        own = np.where(labels[:, None] == label, energy, 0.0)
        highest = np.unravel_index(own.argmax(), own.shape)
        np.testing.assert_allclose(prototype, patches[highest], atol=1e-5)
    with pytest.raises(ValueError, match="`power` must be within"):
        draw_prototypes(model, dataset(), power=-1.0)


def test_bad_input_is_refused_and_nothing_is_changed():
    model = classifier()
    before = model.get_layer("prototypes").prototypes.numpy()
    missing = dataset().map(lambda x, y: (x, tf.minimum(y, 1)))
    with pytest.raises(ValueError, match=r"any image of the classes \[2\]"):
        push_prototypes(model, missing)
    with pytest.raises(ValueError, match=r"any image of the classes \[2\]"):
        draw_prototypes(model, missing)
    np.testing.assert_array_equal(model.get_layer("prototypes").prototypes, before)
    with pytest.raises(ValueError, match="no ProtoPNet"):
        push_prototypes(create("small_cnn", 3, 32, width=4), dataset())
    with pytest.raises(ValueError, match="only after a push"):
        source_images(model, dataset())
    push_prototypes(model, dataset())
    last = model.get_layer("prototypes").source_image.numpy().max()
    with pytest.raises(ValueError, match="the one that the prototypes were pushed to"):
        source_images(model, dataset().unbatch().take(int(last)).batch(4))
