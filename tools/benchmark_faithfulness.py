r"""Insertion and deletion of one batch, ours and Xplique's: a group of `benchmark.py`.

Xplique needs an environment of its own, in which this package works from the
checkout; `compare_xplique.py` makes one:

    PYTHONPATH=. /tmp/xplique/bin/python tools/benchmark.py --groups=faithfulness \
        --models=mobilenet_v2 --image_size=224 --batch_size=32 --rounds=5

Xplique has its best case: the whole batch in one call of a model that was compiled
before, objects made and the blurred images computed beforehand. Ours blurs and
checks its input within the time.
"""

STEPS = 10


def faithfulness_functions(model, images, labels):
    """Both curves of a batch, by Xplique and by two forms of ours.

    Args:
        model: Keras classifier `(B, H, W, 3)` to logits `(B, C)`.
        images: Float32 tensor `(B, H, W, 3)` in 0..255.
        labels: Integer tensor `(B,)`.

    Returns:
        Dict of functions without arguments; each returns the areas under the
        curves of insertion and deletion, means over the batch.
    """
    import numpy as np
    import tensorflow as tf

    from keras_xcons import metrics
    from keras_xcons.evaluation.frozen import frozen

    size, height, width, _ = images.shape
    heatmaps = np.random.default_rng(1).random((size, height, width), "float32")

    def ours(score_fn):
        curves = metrics.insertion_and_deletion(
            score_fn, images, heatmaps, labels, STEPS
        )
        return [float(metrics.area_under_curve(curve).mean()) for curve in curves]

    score = probability(model)
    signature = [
        tf.TensorSpec((None, *images.shape[1:]), tf.float32),
        tf.TensorSpec((None,), labels.dtype),
    ]
    # As `keras_xcons.evaluate` compiles it, and as one would without that.
    compiled = frozen(score, model, signature)
    variable = tf.function(score)
    return {
        "Xplique": xplique_function(model, images, labels, heatmaps),
        "evaluate": lambda: ours(compiled),
        "weights as variables": lambda: ours(variable),
    }


def probability(model):
    """Function of images and classes to the probability of each class."""
    import tensorflow as tf

    def score(images, targets):
        chances = tf.nn.softmax(model(images, training=False))
        return tf.gather(chances, targets, axis=1, batch_dims=1)

    return score


def xplique_function(model, images, labels, heatmaps):
    """Xplique's insertion and deletion of the same images, maps and baselines."""
    import keras
    import numpy as np
    from xplique.metrics import Deletion, Insertion

    from keras_xcons import metrics

    given = {
        "model": keras.Sequential(
            [keras.Input(images.shape[1:]), model, keras.layers.Softmax()]
        ),
        "inputs": images,
        "targets": np.eye(model.output_shape[-1], dtype="float32")[labels.numpy()],
        "batch_size": len(images),
        "steps": STEPS,
    }
    blurred = metrics.blurred_images(images).numpy()
    insertion = Insertion(**given, baseline_mode=lambda _: blurred)
    deletion = Deletion(**given, baseline_mode=127.5)
    return lambda: [
        float(metric.evaluate(heatmaps)) for metric in (insertion, deletion)
    ]
