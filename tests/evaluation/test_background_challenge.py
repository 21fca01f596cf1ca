import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import data
from keras_xcons.evaluation.background_bank import TooFewBackgrounds
from keras_xcons.evaluation.background_challenge import (
    BackgroundBank,
    BackgroundChallenge,
)
from keras_xcons.evaluation.random_numbers import random_numbers

CLASSES, SIZE = 4, 8
FIGURES = {
    "original",
    "mixed_same",
    "mixed_rand",
    "only_background",
    "bg_gap",
    "background_challenge",
}


def scene(count=40, empty=(), whole=(), labels=None):
    """Images whose green channel tells the class in the object, red behind it."""
    labels = np.arange(count) % CLASSES if labels is None else np.asarray(labels)
    masks = np.zeros((count, SIZE, SIZE, 1), "float32")
    masks[:, 2:5, 3:6] = 1.0
    masks[list(empty)] = 0.0
    masks[list(whole)] = 1.0
    images = np.zeros((count, SIZE, SIZE, 3), "float32")
    shade = 10.0 * (labels[:, None, None] + 1)
    images[..., 0] = np.where(masks[..., 0] == 1, 0, shade)
    images[..., 1] = np.where(masks[..., 0] == 1, shade, 0)
    return images, labels.astype("int32"), masks


def batches(arrays, size):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size)


def reader(channel, at):
    """A classifier that reads the class from one channel of one pixel."""

    def predict(images):
        assert images.dtype == np.float32
        number = np.round(images[:, *at, channel] / 10.0).astype(int) - 1
        return np.eye(CLASSES)[np.clip(number, 0, CLASSES - 1)]

    return predict


BACKGROUND_READER = reader(0, (0, 0))
OBJECT_READER = reader(1, (3, 4))


def run(predict, arrays, limit=512, **options):
    bank = BackgroundBank.from_dataset(batches(arrays, 16), CLASSES, limit)
    challenge = BackgroundChallenge(predict, bank, **options)
    return challenge(*arrays, ids=np.arange(len(arrays[1])))


def test_a_classifier_that_reads_the_background():
    arrays = scene(400)
    rows = run(BACKGROUND_READER, arrays)
    assert set(rows) == FIGURES
    for row in rows.values():
        assert row.dtype == np.float32 and row.shape == (400,)
        assert not np.isnan(row).any()
    means = {name: row.mean() for name, row in rows.items()}
    assert means["original"] == means["mixed_same"] == means["only_background"] == 1
    assert means["background_challenge"] == 0
    # Its own class is drawn with a probability of 1 in 4; the error is 0.022.
    assert means["mixed_rand"] == pytest.approx(0.25, abs=0.09)
    np.testing.assert_array_equal(rows["bg_gap"], 1 - rows["mixed_rand"])


def test_a_classifier_that_reads_the_object():
    arrays = scene()
    rows = run(OBJECT_READER, arrays)
    for name in ("original", "mixed_same", "mixed_rand", "background_challenge"):
        np.testing.assert_array_equal(rows[name], np.ones(40), err_msg=name)
    np.testing.assert_array_equal(rows["bg_gap"], np.zeros(40))
    # Without an object it says class 0.
    np.testing.assert_array_equal(rows["only_background"], arrays[1] == 0)


def test_a_challenge_larger_than_the_other_classes_tries_all_of_them():
    def wrong_on_its_own_background(images):
        own = OBJECT_READER(images) * BACKGROUND_READER(images)
        return OBJECT_READER(images) - 2 * own

    arrays = scene(12)
    for size in (9, 10, 100):  # 9 backgrounds are of other classes
        rows = run(wrong_on_its_own_background, arrays, challenge_size=size)
        np.testing.assert_array_equal(rows["background_challenge"], np.ones(12))
    assert rows["mixed_same"].max() == 0


def seen_by(arrays, bank, ids=None, **options):
    """The images that a classifier is shown, in the order of the calls."""
    shown = []

    def predict(images):
        shown.append(images.copy())
        return np.zeros((len(images), CLASSES))

    challenge = BackgroundChallenge(predict, bank, **options)
    rows = challenge(*arrays, ids=np.arange(len(arrays[1])) if ids is None else ids)
    return shown, rows


def numbered(count=40):
    """Backgrounds that tell the number of their image in the blue channel."""
    images, labels, masks = scene(count)
    images[..., 2] = np.arange(count)[:, None, None] % 256
    return images, labels, masks


def test_no_image_gets_its_own_background_and_classes_are_kept():
    arrays = numbered()
    bank = BackgroundBank.from_dataset(batches(arrays, 7), CLASSES)
    shown, _ = seen_by(arrays, bank, challenge_size=5)
    same, rand, *_ = shown[1:3]
    ids = np.arange(40)
    places = same[:, 0, 0, 2]
    assert (places != ids).all() and (places % CLASSES == ids % CLASSES).all()
    assert (rand[:, 0, 0, 2] != ids).all()
    np.testing.assert_array_equal(same[:, 3, 4], arrays[0][:, 3, 4])
    challenged = np.stack([images[:, 0, 0, 2] for images in shown[4:]], axis=1)
    assert challenged.shape == (40, 5)
    assert (challenged % CLASSES != ids[:, None] % CLASSES).all()
    assert all(len(set(row)) == 5 for row in challenged.tolist())


def test_classes_are_drawn_uniformly_however_many_backgrounds_they_have():
    labels = np.repeat([0, 1, 3], [400, 40, 4])
    arrays = scene(444, labels=labels)
    bank = BackgroundBank.from_dataset(batches(arrays, 64), CLASSES, limit=1600)
    assert bank.empty_classes == (2,)
    assert np.bincount(bank.labels).tolist() == [400, 40, 0, 4]
    shown, rows = seen_by(arrays, bank, challenge_size=1)
    drawn = np.round(shown[2][:, 0, 0, 0] / 10 - 1).astype(int)
    shares = np.bincount(drawn, minlength=CLASSES) / 444
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 0, 1 / 3], atol=0.08)
    assert not np.isnan(rows["mixed_rand"]).any()


def test_a_foreign_photograph_takes_the_place_of_other_classes():
    arrays = scene(24)
    bank = BackgroundBank.from_dataset(batches(arrays, 8), CLASSES)
    photographs = np.full((6, SIZE, SIZE, 3), 77, "float32")
    photographs[:, 0, 0, 0] = np.arange(6)
    dataset = tf.data.Dataset.from_tensor_slices(photographs)
    foreign = BackgroundBank.from_photographs(dataset, SIZE, CLASSES)
    assert foreign.labels is None and len(foreign) == 6
    shown, _ = seen_by(arrays, bank, foreign=foreign, challenge_size=16)
    assert len(shown) == 4 + 6  # all that there are
    for images in (shown[2], *shown[4:]):
        assert (images[:, 7, 7] == 77).all()
    assert (shown[1][:, 7, 7] != 77).any()  # mixed-same stays as it is
    rows = BackgroundChallenge(OBJECT_READER, bank, foreign)(*arrays, np.arange(24))
    assert rows["background_challenge"].mean() == rows["mixed_rand"].mean() == 1


def test_an_image_that_takes_no_part_is_nan():
    # Image 3 has no object and 7 nothing else: class 3 keeps the background of 11.
    arrays = scene(12, empty=[3], whole=[7])
    rows = run(OBJECT_READER, arrays)
    for name, row in rows.items():
        assert np.isnan(row[[3, 7]]).all(), name
    assert np.isnan(rows["mixed_same"][11]) and np.isnan(rows["bg_gap"][11])
    assert rows["mixed_rand"][11] == 1 and rows["background_challenge"][11] == 1
    others = [place for place in range(12) if place not in (3, 7, 11)]
    for name, row in rows.items():
        assert not np.isnan(row[others]).any(), name


def test_one_class_alone_has_no_challenge():
    arrays = scene(6, labels=np.zeros(6, int))
    bank = BackgroundBank.from_dataset(batches(arrays, 6), 1)
    challenge = BackgroundChallenge(lambda images: np.ones((len(images), 1)), bank)
    rows = challenge(*arrays, ids=np.arange(6))
    assert np.isnan(rows["background_challenge"]).all()
    np.testing.assert_array_equal(rows["mixed_rand"], np.ones(6))


def test_draws_depend_on_the_seed_and_the_image_and_not_on_the_batch():
    arrays = numbered()
    banks = [
        BackgroundBank.from_dataset(batches(arrays, size), CLASSES, limit=20)
        for size in (1, 7, 40)
    ]
    for bank in banks[1:]:
        np.testing.assert_array_equal(bank.images, banks[0].images)
        np.testing.assert_array_equal(bank.ids, banks[0].ids)
    shown, _ = seen_by(arrays, banks[0], seed=3)
    part = [array[10:13] for array in arrays]
    alone, _ = seen_by(part, banks[1], ids=np.arange(10, 13), seed=3)
    for whole, some in zip(shown, alone, strict=True):
        np.testing.assert_array_equal(whole[10:13], some)
    other, _ = seen_by(arrays, banks[0], seed=4)
    assert (other[1] != shown[1]).any() and (other[2] != shown[2]).any()


def test_the_bank_stays_within_its_limit():
    arrays = numbered(400)
    bank = BackgroundBank.from_dataset(batches(arrays, 32), CLASSES, limit=21, seed=1)
    assert len(bank) == 20 and np.bincount(bank.labels).tolist() == [5] * 4
    assert bank.images.dtype == np.uint8 and bank.images.nbytes == 20 * SIZE * SIZE * 3
    # Any image of the pass may be kept, and is kept with its own number.
    assert bank.ids.min() < 200 < bank.ids.max()
    np.testing.assert_array_equal(bank.labels, bank.ids % CLASSES)
    expected, _ = data.remove_objects(arrays[0], arrays[2])
    np.testing.assert_array_equal(bank.images, expected[bank.ids])
    other = BackgroundBank.from_dataset(batches(arrays, 32), CLASSES, limit=21, seed=2)
    assert set(other.ids) != set(bank.ids)
    fewest = BackgroundBank.from_dataset(batches(arrays, 32), CLASSES, limit=1)
    assert len(fewest) == CLASSES


def test_photographs_come_from_a_folder_or_a_data_set(tmp_path):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (30, 16, 20, 3)).astype("uint8")
    for place, picture in enumerate(pictures):
        path = tmp_path / f"{place:02d}.png"
        path.write_bytes(tf.io.encode_png(picture).numpy())
    bank = BackgroundBank.from_photographs(tmp_path, (16, 20), CLASSES, limit=12)
    assert len(bank) == 12 and bank.empty_classes == ()
    np.testing.assert_array_equal(bank.images, pictures[bank.ids])
    dataset = tf.data.Dataset.from_tensor_slices(pictures.astype("float32")).batch(11)
    again = BackgroundBank.from_photographs(dataset, (16, 20), CLASSES, limit=12)
    np.testing.assert_array_equal(again.images, bank.images)


def test_photographs_for_grey_images_are_grey():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (6, SIZE, SIZE, 3)).astype("uint8")
    dataset = tf.data.Dataset.from_tensor_slices(pictures)
    grey = BackgroundBank.from_photographs(dataset, SIZE, CLASSES, channels=1)
    assert grey.images.shape == (6, SIZE, SIZE, 1)
    # Luma of ITU-R BT.601.
    expected = pictures[grey.ids] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey.images[..., 0], expected, atol=0.6)
    already = tf.data.Dataset.from_tensor_slices(pictures[..., :1]).batch(4)
    same = BackgroundBank.from_photographs(already, SIZE, CLASSES, channels=1)
    np.testing.assert_array_equal(same.images, pictures[same.ids][..., :1])
    images, labels, masks = scene(8)
    bank = BackgroundBank.from_dataset(
        batches((images[..., :1], labels, masks), 4), CLASSES
    )
    shown, _ = seen_by((images[..., :1], labels, masks), bank, foreign=grey)
    assert all(images.shape == (8, SIZE, SIZE, 1) for images in shown)


def test_how_many_backgrounds_an_image_has_to_stand():
    labels = np.repeat([0, 1, 3], [7, 2, 1])
    bank = BackgroundBank.from_dataset(
        batches(scene(10, labels=labels), 5), CLASSES, limit=28
    )
    # 3, 8 and 9 are of other classes; class 2 has none to take part with.
    assert bank.challenge_sizes(2) == (2, 2)
    assert bank.challenge_sizes(5) == (3, 5)
    assert bank.challenge_sizes(99) == (3, 9)
    photographs = tf.data.Dataset.from_tensor_slices(scene(6)[0])
    foreign = BackgroundBank.from_photographs(photographs, SIZE, CLASSES)
    assert foreign.challenge_sizes(5) == (5, 5)
    assert foreign.challenge_sizes(16) == (6, 6)
    one = BackgroundBank.from_dataset(batches(scene(3, labels=[0, 0, 0]), 3), 1)
    assert one.challenge_sizes(16) == (0, 0)


def test_one_hot_labels_are_read():
    images, labels, masks = scene(8)
    plain = BackgroundBank.from_dataset(batches((images, labels, masks), 4), CLASSES)
    hot = np.eye(CLASSES, dtype="float32")[labels]
    other = BackgroundBank.from_dataset(batches((images, hot, masks), 4), CLASSES)
    np.testing.assert_array_equal(plain.labels, other.labels)


def test_random_numbers_are_even_and_independent():
    numbers = random_numbers(0, 1, np.arange(64)[:, None], np.arange(1000))
    assert numbers.shape == (64, 1000) and len(np.unique(numbers)) == 64000
    shares = numbers / 2.0**64
    assert shares.mean() == pytest.approx(0.5, abs=0.005)
    assert np.abs(np.corrcoef(shares) - np.eye(64)).max() < 0.15
    assert (numbers != random_numbers(1, 0, np.arange(64)[:, None], range(1000))).all()


IMAGES, LABELS, MASKS = scene(8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((IMAGES, LABELS), "by their masks.*neither boxes nor masks"),
        ((IMAGES, LABELS, np.zeros((8, 2, 4))), "by their masks.*boxes"),
        ((IMAGES, LABELS, MASKS[:, :4]), r"\(8, 8, 8, 1\).*\(8, 4, 8, 1\)"),
        ((IMAGES, LABELS, MASKS * 2), "1 on the object.*maximum 2"),
        ((IMAGES, LABELS + 1, MASKS), r"within 0\.\.3.*maximum 4"),
        ((IMAGES * 100, LABELS, MASKS), r"within 0\.\.255.*maximum 4000"),
        ((IMAGES * np.nan, LABELS, MASKS), "finite.*maximum nan"),
    ],
)
def test_a_bank_refuses_bad_data(arrays, message):
    with pytest.raises(ValueError, match=message):
        BackgroundBank.from_dataset(batches(arrays, 8), CLASSES)


@pytest.mark.parametrize("masks", [MASKS * 0, MASKS[:3]])
def test_too_few_backgrounds_have_an_error_of_their_own(masks):
    count = len(masks)
    usable = int(masks.any(axis=(1, 2, 3)).sum())
    arrays = IMAGES[:count], LABELS[:count], masks
    with pytest.raises(TooFewBackgrounds, match=f"{usable} backgrounds for 4 classes"):
        BackgroundBank.from_dataset(batches(arrays, 8), CLASSES)


def test_a_bank_is_made_of_images_of_one_size():
    def growing():
        for side in (8, 9):
            where = np.zeros((4, side, side, 1), "float32")
            where[:, 2:4, 2:4] = 1
            yield np.zeros((4, side, side, 3), "float32"), np.arange(4), where

    with pytest.raises(ValueError, match=r"one size.*\(8, 8, 3\) and \(9, 9, 3\)"):
        BackgroundBank.from_dataset(growing(), CLASSES)


@pytest.mark.parametrize(
    ("photographs", "channels", "message"),
    [
        (IMAGES * 100, 3, r"finite and within 0\.\.255.*maximum \d000"),
        (IMAGES - 1, 3, "finite and within.*minimum -1"),
        (np.where(IMAGES > 20, np.nan, IMAGES), 3, "finite and within.*maximum nan"),
        (np.where(IMAGES > 20, np.inf, IMAGES), 1, "finite and within.*maximum inf"),
        (IMAGES / 255, 3, r"not 0\.\.1.*maximum 0.15"),
        (IMAGES, 4, r"1 or 3 channels. Received: channels=4"),
        (IMAGES[..., :1], 3, r"\(8, 8, 3\).*8, 8, 1\)"),
    ],
)
def test_photographs_that_are_not_as_described(photographs, channels, message):
    dataset = tf.data.Dataset.from_tensor_slices(photographs.astype("float32"))
    for given in (dataset, dataset.batch(3)):
        with pytest.raises(ValueError, match=message):
            BackgroundBank.from_photographs(given, SIZE, CLASSES, channels=channels)


def test_black_photographs_are_taken():
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES * 0)
    assert BackgroundBank.from_photographs(dataset, SIZE, CLASSES).images.max() == 0


def test_a_bank_refuses_other_bad_input():
    with pytest.raises(ValueError, match="is empty.*no batch"):
        BackgroundBank.from_dataset(batches(scene(8), 4).take(0), CLASSES)
    with pytest.raises(ValueError, match="`limit`.*limit=0"):
        BackgroundBank.from_dataset(batches(scene(8), 4), CLASSES, limit=0)
    with pytest.raises(ValueError, match="`num_classes`.*num_classes=2.5"):
        BackgroundBank.from_dataset(batches(scene(8), 4), 2.5)
    with pytest.raises(ValueError, match="`seed`.*seed=-1"):
        BackgroundBank.from_dataset(batches(scene(8), 4), CLASSES, seed=-1)
    small = tf.data.Dataset.from_tensor_slices(IMAGES[:3])
    with pytest.raises(TooFewBackgrounds, match="3 backgrounds for 4 classes"):
        BackgroundBank.from_photographs(small, SIZE, CLASSES)
    with pytest.raises(ValueError, match=r"\(9, 9, 3\).*\(8, 8, 3\)"):
        BackgroundBank.from_photographs(small, 9, CLASSES)
    with pytest.raises(ValueError, match=r"\(8, 8, 3\).*TensorSpec"):
        BackgroundBank.from_photographs(batches(scene(8), 4), SIZE, CLASSES)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        BackgroundBank.from_photographs("nowhere/at/all", 16, CLASSES)


def test_a_challenge_refuses_bad_input():
    bank = BackgroundBank.from_dataset(batches(scene(8), 4), CLASSES)
    photographs = tf.data.Dataset.from_tensor_slices(IMAGES)
    foreign = BackgroundBank.from_photographs(photographs, SIZE, CLASSES)
    with pytest.raises(ValueError, match="photographs go into `foreign`"):
        BackgroundChallenge(OBJECT_READER, foreign)
    with pytest.raises(ValueError, match="without classes.*4 classes"):
        BackgroundChallenge(OBJECT_READER, bank, foreign=bank)
    grey = BackgroundBank.from_photographs(photographs, SIZE, CLASSES, channels=1)
    with pytest.raises(ValueError, match=r"`foreign`.*\(8, 8, 3\).*\(8, 8, 1\)"):
        BackgroundChallenge(OBJECT_READER, bank, grey)
    with pytest.raises(ValueError, match="challenge_size=0"):
        BackgroundChallenge(OBJECT_READER, bank, challenge_size=0)
    challenge = BackgroundChallenge(OBJECT_READER, bank)
    with pytest.raises(ValueError, match="`ids` must be integers.*float64"):
        challenge(IMAGES, LABELS, MASKS, np.zeros(8))
    with pytest.raises(ValueError, match=r"`ids`.*shape \(8,\).*shape \(7,\)"):
        challenge(IMAGES, LABELS, MASKS, np.arange(7))
    with pytest.raises(ValueError, match=r"labels.*within 0\.\.3"):
        challenge(IMAGES, LABELS + 9, MASKS, np.arange(8))
    with pytest.raises(ValueError, match=r"backgrounds of shape \(8, 8, 8, 3\)"):
        challenge(np.zeros((8, 9, 9, 3)), LABELS, np.ones((8, 9, 9, 1)), np.arange(8))


@pytest.mark.real_data
def test_pets_on_foreign_photographs(real_data):
    import keras

    from keras_xcons import models

    keras.utils.set_random_seed(0)
    model = models.create("small_cnn", num_classes=3, input_size=64)
    predict = tf.function(lambda images: model(images, training=False))
    test = data.load(
        real_data / "pets_three" / "1.0.0",
        "test",
        image_size=64,
        batch_size=50,
        annotations=True,
    )
    bank = BackgroundBank.from_dataset(test, 3, limit=90)
    assert np.bincount(bank.labels).tolist() == [30, 30, 30]
    foreign = BackgroundBank.from_photographs(
        real_data / "backgrounds_google", 64, 3, limit=40
    )
    assert foreign.images.std() > 20
    for photographs in (None, foreign):
        challenge = BackgroundChallenge(predict, bank, photographs, challenge_size=4)
        rows, seen = {}, 0
        for batch in test.take(2):
            for name, row in challenge(*batch, seen + np.arange(50)).items():
                rows.setdefault(name, []).append(row)
            seen += 50
        rows = {name: np.concatenate(parts) for name, parts in rows.items()}
        counted = ~np.isnan(rows["original"])
        assert 50 < counted.sum() <= 100
        for name, row in rows.items():
            np.testing.assert_array_equal(~np.isnan(row), counted, err_msg=name)
            assert set(np.unique(row[counted])) <= {-1, 0, 1}
