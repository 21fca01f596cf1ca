import numpy as np
import pytest

from keras_xcons.metrics import binary_accuracy, mean_average_precision, top_k

RANDOM = np.random.default_rng(0)
LOGITS = np.array([[0.1, 0.7, 0.2], [0.5, -0.4, 0.1]], "float32")


def test_top_k_by_hand():
    for labels, ranks in (([1, 0], [1, 1]), ([2, 2], [2, 2]), ([0, 1], [3, 3])):
        for k in (1, 2, 3):
            expected = np.array(ranks) <= k
            found = top_k(LOGITS, labels, k)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)


def test_top_1_is_argmax_ties_and_all():
    logits = RANDOM.integers(0, 3, size=(200, 4)).astype("float32")
    labels = RANDOM.integers(0, 4, size=200)
    expected = logits.argmax(axis=1) == labels
    np.testing.assert_array_equal(top_k(logits, labels), expected)
    assert 0.0 < expected.mean() < 1.0


def test_of_equal_logits_the_lower_class_comes_first():
    logits = np.zeros((4, 4))
    for k in (1, 2, 3, 4):
        expected = np.arange(4) < k
        np.testing.assert_array_equal(top_k(logits, [0, 1, 2, 3], k), expected)


def test_top_k_takes_infinite_logits():
    assert top_k([[-np.inf, 1.0]], [0]) == [0.0]
    assert top_k([[np.inf, 1.0]], [0]) == [1.0]


def test_binary_accuracy_by_hand():
    logits = [[2.0, -1.0, 0.5, -3.0], [0.0, 0.1, -0.1, 5.0]]
    labels = [[1, 0, 0, 0], [0, 1, 1, 1]]
    found = binary_accuracy(logits, labels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.75, 0.75])
    np.testing.assert_allclose(binary_accuracy(logits, 1 - np.array(labels)), 0.25)


def test_average_precision_by_hand():
    scores = np.array([[0.9], [0.8], [0.7], [0.6], [0.5]])
    labels = np.array([[1], [0], [1], [0], [1]])
    by_hand = np.mean([1 / 1, 2 / 3, 3 / 5])
    np.testing.assert_allclose(mean_average_precision(scores, labels), by_hand)
    # What stands where does not matter, nor what the scores are but for their order.
    order = [3, 0, 4, 2, 1]
    found = mean_average_precision(np.exp(9 * scores[order]), labels[order])
    np.testing.assert_allclose(found, by_hand)


def test_images_with_equal_scores_come_together():
    # 0.8: one of two; 0.5: three of five in all.
    scores = np.array([[0.8], [0.5], [0.8], [0.5], [0.5]])
    labels = np.array([[1], [1], [0], [0], [1]])
    by_hand = 1 / 3 * 1 / 2 + 2 / 3 * 3 / 5
    for order in ([0, 1, 2, 3, 4], [2, 3, 0, 4, 1]):
        found = mean_average_precision(scores[order], labels[order])
        np.testing.assert_allclose(found, by_hand)
    assert mean_average_precision(np.zeros((5, 1)), labels) == 3 / 5


def test_classes_without_a_positive_are_left_out():
    scores = np.array([[0.9, 0.1, 0.3], [0.8, 0.2, 0.4]])
    labels = np.array([[1, 0, 1], [0, 0, 0]])
    # 1 for the first class, 1/2 for the third.
    np.testing.assert_allclose(mean_average_precision(scores, labels), 0.75)
    # Without the first image no class has a positive.
    found = mean_average_precision(scores, labels, [[1, 1], [0, 1], [1, 0]])
    np.testing.assert_allclose(found, [0.75, np.nan, 1.0])


def test_counts_repeat_images():
    scores = RANDOM.integers(0, 12, size=(30, 4)).astype("float32")
    labels = RANDOM.integers(0, 2, size=(30, 4))
    labels[:, 3] = 0
    labels[7, 3] = 1  # missing from some resamples
    counts = RANDOM.multinomial(30, np.full(30, 1 / 30), size=250)
    found = mean_average_precision(scores, labels, counts)
    assert found.shape == (250,)
    assert set(counts[:, 7] == 0) == {True, False}
    for row, value in list(zip(counts, found, strict=True))[::25]:
        index = np.repeat(np.arange(30), row)
        expected = mean_average_precision(scores[index], labels[index])
        np.testing.assert_allclose(value, expected)


def test_counts_of_any_shape_and_scale():
    scores = RANDOM.normal(size=(9, 3))
    labels = RANDOM.integers(0, 2, size=(9, 3))
    counts = RANDOM.integers(1, 4, size=(2, 5, 9))
    found = mean_average_precision(scores, labels, counts)
    assert found.shape == (2, 5)
    flat = mean_average_precision(scores, labels, counts.reshape(10, 9) / 3.0)
    np.testing.assert_allclose(found.ravel(), flat)
    once = mean_average_precision(scores, labels, np.ones(9))
    assert once.shape == ()
    assert once == mean_average_precision(scores, labels)
    assert 0.0 <= found.min() and found.max() <= 1.0


def test_average_precision_at_its_limits():
    labels = RANDOM.integers(0, 2, size=(40, 3))
    np.testing.assert_allclose(mean_average_precision(labels, labels), 1.0)
    worst = mean_average_precision(-labels, labels)
    np.testing.assert_allclose(worst, labels.mean())


@pytest.mark.parametrize("k", [0, 4, -1, 1.0, True, None])
def test_refuses_a_wrong_k(k):
    with pytest.raises(ValueError, match=r"`k` must be an int within 1\.\.3.*k="):
        top_k(LOGITS, [0, 1], k)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (LOGITS[0], [0, 1], r"`logits`.*\(images, classes\).*\(3,\)"),
        (LOGITS[:0], [], r"one or more.*\(0, 3\)"),
        (LOGITS * np.nan, [0, 1], "`logits`.*NaN in 2 of 2 images"),
        (LOGITS, [0, 3], r"within 0\.\.2.*maximum 3"),
        (LOGITS, [-1, 0], r"within 0\.\.2.*minimum -1"),
        (LOGITS, [0], r"shape \(2,\)"),
        (LOGITS, [0.0, 1.0], "integers"),
    ],
)
def test_top_k_refuses(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        top_k(logits, labels)


HOT = np.array([[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize("metric", [binary_accuracy, mean_average_precision])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (LOGITS[0], HOT, r"\(images, classes\).*\(3,\)"),
        (LOGITS * np.nan, HOT, "NaN in 2 of 2 images"),
        (LOGITS, HOT[:, :2], r"shape \(2, 3\).*\(2, 2\)"),
        (LOGITS, [0, 1], r"shape \(2, 3\).*\(2,\)"),
        (LOGITS, HOT * 2, "0 or 1.*maximum 2"),
        (LOGITS, HOT * 0.5, "0 or 1.*maximum 0.5"),
        (LOGITS, HOT * np.nan, "0 or 1.*nan"),
    ],
)
def test_multi_hot_metrics_refuse(metric, scores, labels, message):
    with pytest.raises(ValueError, match=message):
        metric(scores, labels)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, 2, 3], r"\(\.\.\., 2\).*\(3,\)"),
        (1, r"\(\.\.\., 2\).*\(\)"),
        (np.ones((0, 2)), r"\(0, 2\)"),
        ([1, -1], "0 or more.*minimum -1"),
        ([1, np.nan], "finite"),
        ([1, np.inf], "finite.*inf"),
    ],
)
def test_refuses_wrong_counts(counts, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(LOGITS, HOT, counts)


def test_refuses_labels_without_a_positive():
    with pytest.raises(ValueError, match="positive image.*all 0"):
        mean_average_precision(LOGITS, 0 * HOT)
