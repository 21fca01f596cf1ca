"""The losses and rates of a ProtoPNet's training step, compared with hand-made ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.methods import PlainModel, XConsModel
from keras_xcons.methods.registry import method_of
from keras_xcons.models import create, freeze_batch_norm
from keras_xcons.protopnet.view import prototype_view
from tests.protopnet.protopnets import (
    BATCH,
    CLASSES,
    arrays,
    changed,
    classifier,
    dataset,
    trainer,
    weights_of,
)


def first_batch():
    images, labels = arrays()
    return images[:BATCH], labels[:BATCH]


def hand_made(model, images, labels, training):
    """Logits, distances to the own and other classes' prototypes, wrong weights."""
    view = prototype_view(model)
    logits = np.array(model(images, training=training), "float64")
    patches = np.array(view.space(images, training=training))
    differences = patches[:, :, None] - view.layer.prototypes.numpy()
    smallest = (differences**2).sum(-1).min(1)
    own = labels[:, None] == view.classes
    cluster = np.where(own, smallest, np.inf).min(1)
    separation = np.where(own, np.inf, smallest).min(1)
    kernel = np.abs(view.dense.kernel.numpy())
    wrong = kernel[view.classes[:, None] != np.arange(CLASSES)].sum()
    return logits, cluster, separation, wrong


def cross_entropy(logits, labels):
    logits = logits - logits.max(1, keepdims=True)
    log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -log_softmax[np.arange(len(labels)), labels]


@pytest.mark.parametrize("stage", ["warm", "joint", "last"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_sum_of_its_terms(stage, weighted):
    model = classifier([1, 2, 2])
    options = {"cluster": 0.5, "separation": 0.3, "sparsity": 0.01}
    training = trainer(model, keras.optimizers.SGD(0.0), **options)
    training.objective.set_stage(stage)
    images, labels = first_batch()
    logits, cluster, separation, wrong = hand_made(
        model, images, labels, stage == "joint"
    )
    # The first one may be padding.
    weights = np.linspace(0.0, 2, BATCH) if weighted else np.ones(BATCH)
    terms = cross_entropy(logits, labels) + 0.5 * cluster - 0.3 * separation
    history = training.fit(
        images,
        labels,
        sample_weight=weights if weighted else None,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
    ).history
    expected = (weights * terms).mean() + 0.01 * wrong
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-4)
    for name, values in (("cluster", cluster), ("separation", separation)):
        expected = values[weights > 0.0].mean()
        np.testing.assert_allclose(history[name], [expected], rtol=1e-4)
    # Without sample weights the defaults are the paper's.
    assert trainer(model).objective.options.__dict__ == {
        "cluster": 0.8,
        "separation": 0.08,
        "sparsity": 1e-4,
        "stage": "joint",
        "features_rate": 1 / 30,
        "last_layer_rate": 1 / 30,
    }


@pytest.mark.parametrize(
    "stage, expected",
    [
        ("warm", {"prototypes"}),
        ("joint", {"features", "prototypes", "moving"}),
        ("last", {"logits"}),
    ],
)
@pytest.mark.parametrize("kind", [PlainModel, XConsModel])
def test_a_stage_changes_what_it_trains_and_nothing_else(stage, expected, kind):
    training = trainer(kind=kind, eager=False)
    before = weights_of(training.classifier)
    training.objective.set_stage(stage)
    training.fit(dataset(), verbose=0)
    assert changed(training.classifier, before) == expected


def step_sizes(training):
    """The largest change of a weight of each group in a step."""
    before = weights_of(training.classifier)
    training.train_on_batch(*first_batch())
    after = weights_of(training.classifier)
    return {name: np.abs(after[name] - before[name]).max() for name in before}


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_adam_learns_each_group_at_its_own_rate(policy, jit_compile):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = classifier()
    finally:
        keras.config.set_dtype_policy(before)
    training = PlainModel(
        model, objective={"features_rate": 0.1, "last_layer_rate": 0.02}
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-3)
    training.compile(optimizer, loss, jit_compile=jit_compile)
    scales = isinstance(training.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scales == (policy == "mixed_float16")
    training.objective.set_stage("warm")
    for _ in range(4):
        sizes = step_sizes(training)
    assert 1e-4 < sizes["prototypes"] < 2e-3
    # A first step of Adam moves every weight by the rate itself, however many steps
    # other groups have taken before.
    training.objective.set_stage("joint", decay=0.5)
    assert step_sizes(training)["features"] == pytest.approx(0.5e-4, rel=0.02)
    training.objective.set_stage("last")
    assert step_sizes(training)["logits"] == pytest.approx(2e-5, rel=0.02)
    training.optimizer.learning_rate = 1e-2
    assert 2e-5 < step_sizes(training)["logits"] < 4e-4


def test_sgd_steps_are_gradients_times_rates():
    model = classifier()
    reference = keras.models.clone_model(model)
    reference.set_weights(model.get_weights())
    images, labels = first_batch()
    view = prototype_view(reference)
    own = tf.constant(labels[:, None] == view.classes)
    both = keras.Model(reference.input, [view.layer.output, reference.output])
    with tf.GradientTape() as tape:
        distances, logits = both(images, training=True)
        cluster = tf.reduce_min(tf.where(own, distances, np.inf), 1)
        separation = tf.reduce_min(tf.where(own, np.inf, distances), 1)
        losses = tf.keras.losses.sparse_categorical_crossentropy(
            labels, logits, from_logits=True
        )
        loss = tf.reduce_mean(losses + 0.8 * cluster - 0.08 * separation)
    gradients = tape.gradient(loss, list(reference.trainable_variables))
    training = trainer(model, keras.optimizers.SGD(0.3), features_rate=0.1)
    training.train_on_batch(images, labels)
    for old, new, gradient in zip(
        reference.trainable_variables,
        model.trainable_variables,
        gradients,
        strict=True,
    ):
        group = new.path.split("/")[0]
        rate = 0.3 if group.startswith(("add_on", "prototypes")) else 0.03
        rate = 0.0 if group == "logits" else rate
        np.testing.assert_allclose(new, old - rate * gradient, rtol=1e-4, atol=1e-6)


def test_a_frozen_backbone_stays_as_it_is():
    model = classifier()
    freeze_batch_norm(model)
    for layer in model.layers[: model.layers.index(model.get_layer("features"))]:
        layer.trainable = False
    training = trainer(model)
    before = weights_of(model)
    training.fit(dataset(), verbose=0)
    assert changed(model, before) == {"prototypes"}


def test_a_schedule_of_the_learning_rate_acts_on_all_groups():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1e-3, 1e-6])
    training = trainer(optimizer=keras.optimizers.Adam(schedule))
    assert step_sizes(training)["prototypes"] == pytest.approx(1e-3, rel=0.02)
    training.train_on_batch(*first_batch())
    assert step_sizes(training)["prototypes"] < 1e-5


def test_callbacks_of_keras_that_change_the_rate(tmp_path):
    training = trainer(optimizer=keras.optimizers.Adam(1e-3))
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate),
        keras.callbacks.ReduceLROnPlateau("loss"),
        keras.callbacks.TensorBoard(tmp_path),
    ]
    training.fit(dataset(), epochs=2, verbose=0, callbacks=callbacks)
    assert float(training.optimizer.learning_rate) == pytest.approx(0.25e-3)


def test_saved_and_loaded_it_goes_on_as_before(tmp_path):
    options = {"cluster": 0.4, "last_layer_rate": 0.5}
    one = trainer(optimizer=keras.optimizers.Adam(1e-3), **options)
    one.fit(dataset(), verbose=0)
    one.save(tmp_path / "trainer.keras")
    other = keras.saving.load_model(tmp_path / "trainer.keras")
    assert other.objective.options == one.objective.options
    for training in (one, other):
        training.fit(dataset(), shuffle=False, verbose=0)
    left = [*one.variables, *one.optimizer.variables]
    right = [*other.variables, *other.optimizer.variables]
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=a.path)


def test_the_classifier_is_the_plain_model():
    model = classifier()
    training = trainer(model)
    assert training.classifier is model
    images, labels = arrays()
    np.testing.assert_array_equal(training.predict(images, verbose=0), model(images))
    names = training.evaluate(images, labels, verbose=0, return_dict=True)
    assert set(names) == {"accuracy", "loss"}


@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
def test_xcons_reweights_the_samples_of_a_protopnet(schedule):
    options = {"schedule": schedule, "num_samples": 18, "epsilon": 64.0}
    training = trainer(kind=XConsModel, eager=False, **options)
    images, labels = arrays()
    x = {"image": images, "sample_id": np.arange(18)}
    x = images if schedule == "batch" else x
    history = training.fit(x, labels, epochs=2, batch_size=BATCH, verbose=0).history
    assert {"cluster", "separation", "consistency", "mean_weight"} <= set(history)
    assert 0.0 < history["consistency"][-1] < 1.0
    if schedule != "batch":
        assert np.ptp(training.table.values.numpy()) > 0.0


def test_xcons_weights_multiply_the_distances_too():
    options = {"preset": "paper", "weight_scale": "raw", "weight_floor": 0.0}
    options["epsilon"] = 64.0
    model = classifier()
    images, labels = first_batch()
    logits, cluster, separation, wrong = hand_made(model, images, labels, True)
    training = trainer(model, keras.optimizers.SGD(0.0), XConsModel, **options)
    recorded = []
    mean = training._mean_weight
    update = mean.update_state
    mean.update_state = lambda values, **counts: (
        recorded.append(np.array(values)) or update(values, **counts)
    )
    history = training.fit(
        images, labels, batch_size=BATCH, shuffle=False, verbose=0
    ).history
    (weights,) = recorded
    assert np.ptp(weights) > 1e-4
    terms = cross_entropy(logits, labels) + 0.8 * cluster - 0.08 * separation
    expected = (weights * terms).mean() + 1e-4 * wrong
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-3)


def test_xcons_with_uniform_weights_is_the_plain_training():
    plain = trainer()
    plain.fit(dataset(), epochs=2, shuffle=False, verbose=0)
    uniform = trainer(kind=XConsModel, **method_of("xcons").neutral)
    uniform.fit(dataset(), epochs=2, shuffle=False, verbose=0)
    for a, b in zip(plain.weights, uniform.classifier.weights, strict=False):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5, err_msg=a.path)


def test_xcons_is_saved_with_its_options(tmp_path):
    training = trainer(kind=XConsModel, epsilon=9.0, separation=0.2)
    training.fit(dataset(), verbose=0)
    training.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    assert loaded.options.epsilon == 9.0
    assert loaded.objective.options.separation == 0.2
    loaded.fit(dataset(), verbose=0)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_it_learns_under_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        training = trainer(eager=False)
    finally:
        keras.config.set_dtype_policy(before)
    history = training.fit(dataset(), epochs=6, verbose=0).history
    assert history["cluster"][-1] < 0.7 * history["cluster"][0]
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"cluster": -1.0}, ValueError, "`cluster` must be within"),
        ({"sparsity": "much"}, TypeError, "`sparsity` must be a number"),
        ({"features_rate": -0.1}, ValueError, "`features_rate` must be within"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        PlainModel(classifier(), objective=options)


def test_other_bad_input_is_refused():
    other = create("small_cnn", 3, 32, width=4)
    with pytest.raises(ValueError, match="this classifier has none. Received: obj"):
        PlainModel(other, objective={"cluster": 1.0})
    with pytest.raises(TypeError, match="`objective` must be a dict of options"):
        PlainModel(classifier(), objective="cluster")
    with pytest.raises(TypeError, match="Did you mean 'cluster'.*option_of_a_ProtoPN"):
        PlainModel(classifier(), objective={"clusters": 1.0})
    with pytest.raises(TypeError, match=r"Pass objective=\{'cluster': ...\}. Received"):
        PlainModel(classifier(), cluster=1.0)
    with pytest.raises(ValueError, match="Received: multi_label=True"):
        XConsModel(classifier(), multi_label=True)
    with pytest.raises(ValueError, match="compile the model first"):
        PlainModel(classifier()).objective.set_stage("warm")
    training = trainer()
    with pytest.raises(ValueError, match="Unknown stage. Did you mean 'warm'"):
        training.objective.set_stage("warmup")
    images, labels = arrays()
    with pytest.raises(ValueError, match="`images` must be finite"):
        training.fit(images * 2.0, labels, verbose=0)
    with pytest.raises(ValueError, match="must be within 0..2"):
        training.fit(dataset().map(lambda x, y: (x, y + 1)), verbose=0)
