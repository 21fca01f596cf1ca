"""The background challenge as a suite runs it: its backgrounds, and what to know."""

from keras_xcons.evaluation.background_bank import BackgroundBank
from keras_xcons.evaluation.background_challenge import BackgroundChallenge
from keras_xcons.evaluation.reading import batches, class_indices


class ChallengeBackgrounds:
    """Backgrounds gathered for a data set with masks.

    Args:
        dataset: The data set.
        facts: `DataFacts` of it.
        photographs: A folder or a `tf.data.Dataset` of photographs to use in the
            place of other classes' backgrounds, or `None`.
        options: `EvaluationOptions`.

    Raises:
        TooFewBackgrounds: There are fewer usable ones than classes.
        ValueError, FileNotFoundError: The photographs are not as described.
    """

    def __init__(self, dataset, facts, photographs, options):
        self._options = options
        self._labels = [
            label for label, count in enumerate(facts.class_counts) if count
        ]
        classes, seed = len(facts.class_counts), options.seed
        limit, (*size, channels) = options.max_backgrounds, facts.image_shape
        self._foreign = None
        if photographs is not None:
            self._foreign = BackgroundBank.from_photographs(
                photographs, tuple(size), classes, limit, seed, channels=channels
            )
        masked = (
            (images, class_indices(labels, False), where["masks"])
            for images, labels, where in batches(dataset, facts)
        )
        self._bank = BackgroundBank.from_dataset(masked, classes, limit, seed)

    def challenge(self, predict):
        """The `BackgroundChallenge` of a model, from its `predict`."""
        return BackgroundChallenge(
            predict,
            self._bank,
            self._foreign,
            self._options.challenge_backgrounds,
            self._options.seed,
        )

    def notes(self):
        """What a reader of the figures has to know, as sentences."""
        strange = self._foreign is not None
        whose = "photographs" if strange else "backgrounds of other classes"
        asked = self._options.challenge_backgrounds
        smallest, largest = (self._foreign or self._bank).challenge_sizes(asked)
        count = smallest if smallest == largest else f"{smallest} to {largest}"
        notes = [
            f"Backgrounds were taken from {len(self._bank)} images of this data set, "
            "with their objects painted over; in the challenge each object has to "
            f"stand {count} {whose}. Images whose object fills them take no part."
        ]
        if strange:
            notes.append(
                f"Mixed-rand and the challenge use {len(self._foreign)} photographs "
                "that belong to no class, whole ones; the backgrounds of mixed-same "
                "have an object painted over, which BG-gap does not know of."
            )
        absent = set(self._bank.empty_classes) & set(self._labels)
        if absent:
            notes.append(
                f"{len(absent)} classes have images, but none from which a background "
                "could be taken."
            )
        return notes
