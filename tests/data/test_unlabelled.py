import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import with_sample_ids, with_unlabelled

IMAGES = np.arange(5, dtype="float32")[:, None, None, None] * np.ones((1, 4, 4, 3))
LABELS = np.arange(5)


def batches(*parts, size=2):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


@pytest.mark.parametrize("kind", ["images", "with labels", "with ids"])
def test_a_batch_of_others_beside_each_batch(kind):
    others = tf.data.Dataset.from_tensor_slices(IMAGES[:3] + 100).batch(2)
    if kind != "images":
        others = batches(IMAGES[:3] + 100, LABELS[:3])
    if kind == "with ids":
        others = with_sample_ids(others)
    found = list(with_unlabelled(batches(IMAGES, LABELS), others))
    assert [y.numpy().tolist() for _, y in found] == [[0, 1], [2, 3], [4]]
    assert [set(x) for x, _ in found] == [{"image", "unlabelled"}] * 3
    first = [x["unlabelled"].numpy()[:, 0, 0, 0].tolist() for x, _ in found]
    # The second data set begins anew.
    assert first == [[100, 101], [102], [100, 101]]
    weighted = with_unlabelled(
        with_sample_ids(batches(IMAGES, LABELS, LABELS / 5)), others
    )
    x, _, weight = next(iter(weighted))
    assert set(x) == {"image", "sample_id", "unlabelled"}
    np.testing.assert_allclose(weight, [0.0, 0.2])


def test_what_does_not_fit_is_refused():
    good = batches(IMAGES, LABELS)
    with pytest.raises(TypeError, match="`unlabelled` must be a tf.data.Dataset"):
        with_unlabelled(good, IMAGES)
    with pytest.raises(TypeError, match="`dataset` must be a tf.data.Dataset"):
        with_unlabelled(IMAGES, good)
    with pytest.raises(ValueError, match=r"must give batches \(images, labels\)"):
        with_unlabelled(good.map(lambda x, y: x), good)
    large = batches(np.zeros((5, 6, 6, 3), "float32"), LABELS)
    with pytest.raises(ValueError, match=r"size of the labelled ones, \(4, 4, 3\)"):
        with_unlabelled(good, large)
    with pytest.raises(ValueError, match="must have images"):
        with_unlabelled(good, good.take(0))
    with pytest.raises(ValueError, match="`unlabelled` must give batches of images"):
        with_unlabelled(good, good.unbatch())
