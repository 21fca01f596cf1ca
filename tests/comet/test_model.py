"""COMET's training: its losses, who learns by which, and the frozen detector."""

import keras
import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons.comet import PartsOptimizer, comet_view
from tests.comet.comets import by_hand, data, predictor, selector, trained
from tests.same_weights import assert_same_weights

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def still(**options):
    """A trainer that does not move, and without batch normalisation to move."""
    model = predictor(norm=False)
    made = kx.COMETModel(model, selector(), detector_epochs=0, **options)
    made.compile(keras.optimizers.SGD(0.0), LOSS)
    return made


PRESETS = {
    "authors": {},
    "paper": {"preset": "paper"},
    "small": {"preset": "small"},
    "costs of all": {"max_area": 0.0, "area_weight": 3.0, "gap": 0.5},
}


@pytest.mark.parametrize("preset", PRESETS)
def test_losses_equal_a_transcription(preset):
    trainer = still(**PRESETS[preset])
    images, labels = data()
    logs = trainer.train_on_batch(images, labels, return_dict=True)
    expected = by_hand(trainer, images, labels)
    for name, value in expected.items():
        assert float(logs[name]) == pytest.approx(value, rel=1e-5), name


def test_presets_are_what_the_authors_say():
    options = {name: kx.COMETModel.Options(**each) for name, each in PRESETS.items()}
    found = {
        name: (each.detector_weight, each.gap, each.area_weight, each.max_area)
        for name, each in options.items()
    }
    assert found["authors"] == (4.0, 2.0, 100.0, 0.6)
    assert found["small"] == (1.0, 1.0, 100.0, 0.2)
    assert found["paper"] == (1.0, None, 1.0, 0.0)


@pytest.mark.parametrize("preset", ["authors", "paper"])
def test_signs(preset):
    """What the detector does not know outside is good; a larger mask costs."""
    trainer = still(**PRESETS[preset], max_area=0.0)
    images, labels = data()[0], np.zeros(24, "int32")
    last = trainer.detector.layers[-1]
    kernel, bias = last.get_weights()

    def selector_loss():
        logs = trainer.train_on_batch(images, labels, return_dict=True)
        return float(logs["selector_loss"])

    trainer.reset_metrics()
    known, unknown = [], []
    for found, score in ((known, 5.0), (unknown, -5.0)):
        # A detector that is sure of class 0, and one that is sure of any other.
        last.set_weights([kernel * 0.0, np.array([score, 0, 0, 0, 0], "float32")])
        trainer.reset_metrics()
        found.append(selector_loss())
    assert unknown[0] < known[0] - 1.0
    mask = comet_view(trainer.classifier).selection.selector.layers[-1]
    kernel, bias = mask.get_weights()
    mask.set_weights([kernel, bias + 2.0])
    trainer.reset_metrics()
    wider = selector_loss()
    terms = by_hand(trainer, images, labels)
    assert wider == pytest.approx(terms["selector_loss"], rel=1e-5)
    assert wider > unknown[0] and terms["mask_area"] > 0.6


@pytest.mark.parametrize("goal", ["detector", "area"])
def test_the_selector_goes_where_its_terms_lead(goal):
    """Each term alone, in fifty steps."""
    terms = {
        "detector": {"detector_weight": 10.0, "gap": None, "area_weight": 0.0},
        "area": {"detector_weight": 0.0, "area_weight": 100.0, "max_area": 0.0},
    }
    trainer = kx.COMETModel(predictor(), selector(), detector_epochs=0, **terms[goal])
    rates = {
        "selector": keras.optimizers.Adam(0.05),
        "predictor": keras.optimizers.SGD(0.0),
    }
    trainer.compile(rates, LOSS)
    images, labels = data()
    logs = [trainer.train_on_batch(images, labels, return_dict=True) for _ in range(50)]
    first, last = logs[0], logs[-1]
    if goal == "area":
        assert last["mask_area"] < 0.2 * first["mask_area"]
    else:
        assert last["selector_loss"] < first["selector_loss"] - 0.1


def test_each_part_learns_by_its_own_loss():
    """The predictor by the caller's alone, whatever the selector's terms are."""
    found = []
    for weight in (0.0, 4.0):
        trainer, _ = trained(
            optimizer={
                "selector": keras.optimizers.SGD(0.0),
                "predictor": keras.optimizers.SGD(0.05),
            },
            selector=selector(),
            detector_weight=weight,
        )
        found.append(comet_view(trainer.classifier).predictor)
    assert_same_weights(*found)


def test_the_detector_is_not_touched():
    """Not by a bit, its batch normalisation included."""
    model = predictor()
    before = [np.array(each) for each in model.get_weights()]
    trainer, _ = trained(model, epochs=2)
    for left, right in zip(before, trainer.detector.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    moved = zip(before, model.get_weights(), strict=True)
    assert any(not np.array_equal(left, right) for left, right in moved)
    assert trainer.detector.trainable_variables == []


def test_a_detector_that_is_given_is_copied():
    given = predictor(seed=7)
    trainer, _ = trained(detector=given)
    assert trainer.detector is not given and given.trainable
    assert_same_weights(given, trainer.detector)


def test_the_detector_is_trained_first():
    """As plain training would, and once: a continued run finds it trained."""
    plain = predictor()
    plain.compile(keras.optimizers.SGD(0.05), LOSS)
    plain.fit(*data(), batch_size=8, epochs=3, verbose=0, shuffle=False)
    trainer, history = trained(epochs=2, detector_epochs=3)
    assert_same_weights(plain, trainer.detector, rtol=1e-4, atol=1e-5)
    assert len(history["loss"]) == 2 and not trainer.needs_detector
    before = trainer.detector.get_weights()
    trainer.fit(*data(), batch_size=8, verbose=0)
    for left, right in zip(before, trainer.detector.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_what_the_detector_needs_is_told():
    trainer = kx.COMETModel(predictor())
    trainer.compile("sgd", LOSS)
    images, labels = data()
    with pytest.raises(RuntimeError, match="The detector is trained by `fit`"):
        trainer.train_on_batch(images, labels)
    once = ((images[:8], labels[:8]) for _ in range(3))
    with pytest.raises(ValueError, match="a generator can be read once"):
        trainer.fit(once, verbose=0)


def test_optimizers_of_the_parts():
    rates = {
        "selector": keras.optimizers.AdamW(1e-3),
        "predictor": keras.optimizers.SGD(0.02, momentum=0.9),
    }
    trainer, _ = trained(optimizer=rates, epochs=2)
    assert isinstance(trainer.optimizer, PartsOptimizer)
    for part, variables in trainer.variables_of_parts.items():
        own = trainer.optimizer.parts[part]
        assert own is rates[part] and len(own._trainable_variables) == len(variables)
        assert int(own.iterations) == 6
    trainer.optimizer.learning_rate = 5e-4
    assert float(rates["selector"].learning_rate) == pytest.approx(5e-4)
    assert float(rates["predictor"].learning_rate) == pytest.approx(0.01)


def test_each_part_has_an_optimizer_of_its_own():
    trainer, one = kx.COMETModel(predictor()), keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="the same SGD for both"):
        trainer.compile({"selector": one, "predictor": one}, LOSS)
    with pytest.raises(TypeError, match="selector=None"):
        trainer.compile({"selector": None, "predictor": one}, LOSS)


def test_callbacks_of_keras_that_change_the_rate(tmp_path):
    rates = {"selector": "adam", "predictor": keras.optimizers.SGD(0.02)}
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate),
        keras.callbacks.ReduceLROnPlateau("loss"),
        keras.callbacks.TensorBoard(tmp_path),
    ]
    trainer, _ = trained(optimizer=rates, epochs=2, callbacks=callbacks)
    found = [float(each.learning_rate) for each in trainer.optimizer.parts.values()]
    assert found == pytest.approx([0.25e-3, 0.005])


@pytest.mark.parametrize("given", [{}, {"selector": "sgd"}, {"a": "sgd", "b": "sgd"}])
def test_other_dicts_of_optimizers_are_refused(given):
    trainer = kx.COMETModel(predictor())
    with pytest.raises(ValueError, match="one for each of 'selector' and 'predictor'"):
        trainer.compile(given, LOSS)


def test_half_precision_scales_each_loss():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = predictor()
    finally:
        keras.config.set_dtype_policy("float32")
    rates = {"selector": "adam", "predictor": "sgd"}
    trainer, history = trained(model, optimizer=rates, epochs=2)
    for optimizer in trainer.optimizer.parts.values():
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(history["selector_loss"]).all()


def test_a_run_goes_on_with_an_optimizer_a_part(tmp_path):
    def rates():
        return {
            "selector": keras.optimizers.Adam(1e-3),
            "predictor": keras.optimizers.Adam(1e-2),
        }

    expected, _ = trained(optimizer=rates(), epochs=3, detector_epochs=1)
    stopped, _ = trained(optimizer=rates(), epochs=2, detector_epochs=1)
    stopped.save(tmp_path / "stopped.keras")
    continued = keras.saving.load_model(tmp_path / "stopped.keras")
    continued.fit(
        *data(), batch_size=8, epochs=3, initial_epoch=2, verbose=0, shuffle=False
    )
    assert_same_weights(expected, continued, rtol=1e-5, atol=1e-6)


REFUSED = {
    "no model": (lambda: {"selector": "a"}, TypeError, "`selector` must be a `keras"),
    "channels": (
        lambda: {"selector": selector(channels=2)},
        ValueError,
        "one channel of any resolution.*(None, 4, 4, 2)",
    ),
    "size": (
        lambda: {"selector": selector(size=32)},
        ValueError,
        "must take the same images.*(32, 32, 3)",
    ),
    "values": (
        lambda: {"selector": selector(activation=None)},
        ValueError,
        "values in 0..1, as behind a sigmoid",
    ),
    "classes": (
        lambda: {"detector": kx.models.create("small_cnn", 7, 16)},
        ValueError,
        "same classes as the predictor.*detector of 7 and a predictor of 5",
    ),
    "images": (
        lambda: {"detector": kx.models.create("small_cnn", 5, 32)},
        ValueError,
        "same images as the predictor.*32, 32, 3",
    ),
    "gap": (lambda: {"gap": -1.0}, ValueError, "`gap` must be"),
    "weight": (lambda: {"detector_weight": -1.0}, ValueError, "`detector_weight` must"),
    "not finite": (lambda: {"area_weight": np.nan}, ValueError, "`area_weight` must"),
    "area": (lambda: {"max_area": 1.5}, ValueError, "`max_area` must be within"),
    "preset": (lambda: {"preset": "other"}, ValueError, "Unknown preset"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    make, error, match = REFUSED[case]
    with pytest.raises(error, match=match.replace("(", r"\(").replace(")", r"\)")):
        kx.COMETModel(predictor(), **make())


def test_a_second_selector_is_refused():
    model = kx.comet.comet_classifier(predictor(), selector())
    with pytest.raises(ValueError, match="has a selector already"):
        kx.COMETModel(model, selector())
