import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import zoo
from keras_xcons.models import create
from keras_xcons.models.offset import Offset, known_offset, remember_offset
from keras_xcons.protopnet.patches import prototype_similarities
from keras_xcons.protopnet.pruning import prune_prototypes
from keras_xcons.protopnet.push import push_prototypes
from keras_xcons.protopnet.view import prototype_view
from tests.protopnet.protopnets import arrays, classifier, dataset


def own_patches(model, nearest):
    """How many of the nearest images are of the class of each prototype."""
    view = prototype_view(model)
    images, labels = arrays()
    patches = view.space.predict(images, verbose=0)
    prototypes = view.layer.prototypes.numpy()
    distances = ((patches[:, :, None] - prototypes) ** 2).sum(-1).min(1)
    first = np.argsort(distances, axis=0)[:nearest]
    return (labels[first] == view.classes).sum(axis=0)


@pytest.mark.parametrize("nearest, minimum, batch", [(6, 3, 5), (4, 4, 18), (6, 1, 1)])
def test_prototypes_without_patches_of_their_class_are_dropped(nearest, minimum, batch):
    model = classifier([4, 5, 3])
    push_prototypes(model, dataset())
    own, classes = own_patches(model, nearest), prototype_view(model).classes
    expected = own >= minimum
    for label in range(3):
        if not expected[classes == label].any():
            # The last one of a class stays: the first of those with the most patches.
            members = np.flatnonzero(classes == label)
            expected[members[own[members].argmax()]] = True
    data = tf.data.Dataset.from_tensor_slices(arrays()).batch(batch)
    pruned, kept = prune_prototypes(model, data, nearest, minimum)
    assert kept.tolist() == np.flatnonzero(expected).tolist()
    counts = pruned.get_layer("prototypes").prototypes_per_class
    assert list(counts) == np.bincount(classes[kept]).tolist()


def test_logits_lose_what_the_dropped_prototypes_contributed():
    model = classifier([4, 5, 3])
    push_prototypes(model, dataset())
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    pruned, kept = prune_prototypes(model, dataset(), nearest=6, minimum=4)
    assert 3 <= len(kept) < 12
    images, _ = arrays()
    similarities = prototype_similarities(model, images)
    dropped = np.setdiff1d(np.arange(12), kept)
    lost = similarities[:, dropped] @ kernel.numpy()[dropped]
    np.testing.assert_allclose(pruned(images), model(images) - lost, atol=1e-4)
    old, new = model.get_layer("prototypes"), pruned.get_layer("prototypes")
    for name in ("prototypes", "classes", "source_image", "source_cell", "source_box"):
        left, right = getattr(old, name).numpy(), getattr(new, name).numpy()
        np.testing.assert_array_equal(left[kept], right)


def test_the_copy_shares_nothing_and_can_be_built_again(tmp_path):
    model = classifier([4, 5, 3])
    push_prototypes(model, dataset())
    offset = Offset(0.5, -0.25)
    remember_offset(model, "features", offset)
    pruned, _ = prune_prototypes(model, dataset())
    assert known_offset(pruned, "features") == offset
    assert not {id(one) for one in model.weights} & {id(one) for one in pruned.weights}
    pruned.save_weights(tmp_path / "pruned.weights.h5")
    counts = list(pruned.get_layer("prototypes").prototypes_per_class)
    again = classifier(counts, seed=3)
    again.load_weights(tmp_path / "pruned.weights.h5")
    images, _ = arrays()
    np.testing.assert_array_equal(again(images), pruned(images))


def test_a_backbone_that_normalizes_is_copied_with_its_statistics():
    model = create(
        "protopnet", 3, 32, backbone="efficientnet_b0", prototypes=1, channels=4
    )
    kind = keras.layers.Normalization
    layer = next(layer for layer in model.layers if isinstance(layer, kind))
    layer.adapt_mean.assign([0.5, 0.2, 0.1])
    layer.adapt_variance.assign([0.1, 0.4, 0.2])
    layer.finalize_state()
    push_prototypes(model, dataset())
    # A class keeps its last prototype, so that nothing is dropped.
    pruned, kept = prune_prototypes(model, dataset())
    assert kept.tolist() == [0, 1, 2]
    images, _ = arrays()
    np.testing.assert_array_equal(pruned(images), model(images))


def test_a_pruned_model_is_published(tmp_path):
    model = classifier([4, 5, 3])
    push_prototypes(model, dataset())
    pruned, _ = prune_prototypes(model, dataset(), nearest=6, minimum=4)
    counts = list(pruned.get_layer("prototypes").prototypes_per_class)
    assert sum(counts) < 12
    folder = zoo.publish(
        pruned,
        "protopnet_noise",
        tmp_path,
        architecture="protopnet",
        arguments={
            "backbone": "small_cnn",
            "backbone_arguments": {"width": 4},
            "channels": 8,
            "prototypes": counts,
        },
        class_names=["a", "b", "c"],
        method="plain",
        recipe={"epochs": 1},
        metrics={"accuracy": 0.5},
        data_license="CC0-1.0",
        weights_license="CC0-1.0",
        dataset="noise",
        data="18 images of noise",
        pretraining="none, random weights",
    )
    loaded = zoo.load(folder)
    images, _ = arrays()
    # The weights are rounded to float16.
    np.testing.assert_allclose(loaded(images), pruned(images), rtol=0.01, atol=0.02)
    old, new = pruned.get_layer("prototypes"), loaded.get_layer("prototypes")
    assert new.pushed
    np.testing.assert_array_equal(new.source_image, old.source_image)


def test_bad_input_is_refused():
    model = classifier()
    with pytest.raises(ValueError, match="Prune after a push"):
        prune_prototypes(model, dataset())
    push_prototypes(model, dataset())
    with pytest.raises(TypeError, match="`nearest` must be an int"):
        prune_prototypes(model, dataset(), nearest=2.0)
    with pytest.raises(ValueError, match="`minimum` must be within"):
        prune_prototypes(model, dataset(), nearest=3, minimum=4)
    with pytest.raises(ValueError, match="at least 19 images"):
        prune_prototypes(model, dataset(), nearest=19)
    with pytest.raises(TypeError, match="must be a `keras.Model`"):
        prune_prototypes(None, dataset())
    outside = dataset().map(lambda x, y: (x, y + 1))
    with pytest.raises(ValueError, match=r"`labels` must be within 0..2"):
        prune_prototypes(model, outside)
