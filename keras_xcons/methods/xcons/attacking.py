"""The attack of a training step, and which images it says nothing of."""

import typing

import tensorflow as tf
from keras import ops

from keras_xcons import attacks
from keras_xcons.explainers import shown_maps
from keras_xcons.methods.passes import without_nan
from keras_xcons.models.frame import WHOLE


def attack_loss(logits, targets, options):
    """The loss that a backward pass of its own attacks images by.

    The mean over the batch of `keras_xcons.attacks.margin_loss`: of a confident model
    the caller's loss has no gradient left, and no attack. Our choice.

    Args:
        logits: Float tensor `(B, C)`.
        targets: `Targets`.
        options: `XConsOptions`.

    Returns:
        Float32 scalar.
    """
    labels = targets.valid if options.multi_label else targets.classes[:, 0]
    return ops.mean(attacks.margin_loss(logits, labels, options.multi_label))


class Attack(typing.NamedTuple):
    """Attacked images `(B, H, W, channels)`, and what came of the attack, `(B,)`.

    `judged` says whether an image was attacked at all: whether its gradients were
    numbers and not all zero. `zero` says whether they were numbers, all of them zero.
    """

    images: tf.Tensor
    judged: tf.Tensor
    zero: tf.Tensor


def no_attack(images):
    """Images that are as they were, of which nothing is to be judged."""
    not_one = ops.zeros_like(images[:, 0, 0, 0], dtype="bool")
    return Attack(images, not_one, not_one)


def attack(images, clean, targets, gradient, gradient_fn, seed, options, frame=WHOLE):
    """Attacks a region of the images, told from their clean maps.

    Args:
        images: Float tensor `(B, H, W, channels)` in 0..255.
        clean: `Explained` of the images.
        targets: `Targets`.
        gradient: Gradient of the loss with respect to the images, for FGSM.
        gradient_fn: Function from attacked images to that gradient, for PGD.
        seed: Int32 tensor `(2,)` for the random start of PGD.
        options: `XConsOptions`.
        frame: The `keras_xcons.models.Frame` of the maps. Defaults to the whole image.

    Returns:
        `Attack(images, judged, zero)`.
    """
    # What any of the classes' maps claims is no background.
    claimed = shown_maps(clean.maps, targets)
    size = ops.shape(images)[1:3]
    region, threshold = options.region, options.threshold
    mask = attacks.region_mask(claimed, region, threshold, size, frame)
    finite, moving = [], []

    def usable(gradient):
        # Under a loss scale that is still too large there is no attack to judge.
        for every, found in zip((finite, moving), attacks.moves(gradient), strict=True):
            every.append(found)
        return without_nan(gradient)

    if options.attack == "swap":
        return _swapped(images, mask, ops.max(claimed, axis=(1, 2)) > 0.0, seed)
    if options.attack == "fgsm":
        attacked = attacks.fgsm(images, usable(gradient), options.epsilon, mask)
    else:
        attacked = attacks.pgd(
            images,
            lambda attacked: usable(gradient_fn(attacked)),
            options.epsilon,
            options.step_size,
            options.attack_steps,
            mask,
            seed=seed,
        )
    finite = ops.all(ops.stack(finite), axis=0)
    moving = ops.any(ops.stack(moving), axis=0)
    zero = ops.logical_and(finite, ops.logical_not(moving))
    return Attack(attacked, ops.logical_and(finite, moving), zero)


def _swapped(images, mask, shown, seed):
    """Images on the background of another one of the batch.

    One whose map is empty shows no object to keep, and stays as it is.
    """
    count = ops.shape(images)[0]
    # From 1 to the number of the others: never the image itself.
    step = 1 + tf.random.stateless_uniform((), seed, 0, 2**31 - 1, "int32") % (
        ops.maximum(count - 1, 1)
    )
    judged = ops.logical_and(shown, count > 1)
    swapped = ops.logical_and(mask > 0.0, judged[:, None, None, None])
    attacked = ops.where(swapped, tf.roll(images, step, axis=0), images)
    return Attack(attacked, judged, ops.zeros_like(judged))
