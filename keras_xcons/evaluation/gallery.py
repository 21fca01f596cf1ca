"""The images that a report shows, the same ones for every model."""

import numpy as np

from keras_xcons import explainers
from keras_xcons.evaluation.reading import class_indices
from keras_xcons.report import Sample, SampleView


class Gallery:
    """Chooses images of a data set and keeps what models show of them.

    They are drawn at random, a third of them from those that the first model gets
    wrong, as far as there are so many: of a good classifier one would see none.

    Args:
        num_images: Number of images of the data set.
        class_names: Sequence of the names of the classes.
        multi_label: Whether labels are multi-hot.
        count: Number of images to choose.
        seed: Seed of the choice.
    """

    def __init__(self, num_images, class_names, multi_label, count, seed):
        self._count = min(count, num_images)
        # The place in this order says which of several images is rather drawn.
        self._rank = np.random.default_rng(seed).permutation(num_images)
        self._drawn = set(np.flatnonzero(self._rank < self._count).tolist())
        self._wrong = []
        self._settled = False
        self._names = class_names
        self._multi_label = multi_label

    def views(self, batch):
        """What a model shows of the images in a batch that are or may be chosen.

        Args:
            batch: `Batch`.

        Returns:
            Dict from the place of an image to its `keras_xcons.report.SampleView`.
        """
        if not self._count:
            return {}
        right = batch.right(batch.logits)
        wanted = set(self._drawn)
        if not self._settled:
            found = [*self._wrong, *batch.ids[right < 1.0].tolist()]
            self._wrong = sorted(found, key=lambda place: self._rank[place])
            del self._wrong[self._count // 3 :]
            wanted |= set(self._wrong)
        rows = [row for row, place in enumerate(batch.ids) if place in wanted]
        if not rows:
            return {}
        chances = batch.probe.probabilities(batch.logits).numpy()
        explained = [row for row in rows if batch.explainable[row]]
        panels = self._panels(batch, explained)
        return {
            int(batch.ids[row]): SampleView(
                predicted=self._predicted(chances[row]),
                correct=bool(right[row] == 1.0),
                confidence=float(chances[row].max()),
                consistency=float(batch.attacked.consistency[row]),
                heatmap=batch.shown(batch.maps[row]),
                adversary=_pixels(batch.attacked.images[row]),
                adversary_heatmap=batch.shown(batch.attacked.maps[row]),
                panels=panels.get(row, {}),
            )
            for row in rows
        }

    def _panels(self, batch, rows):
        """What the explainer shows of some images of a batch beside its heatmaps.

        Of each a dict from words to a picture, where it shows more.
        """
        if not rows:
            return {}
        # Of several classes an image it is shown the first that counts.
        classes = np.asarray(batch.targets.classes)[rows]
        first = np.argmax(np.asarray(batch.targets.valid)[rows], axis=1)[:, None]
        labels = np.take_along_axis(classes, first, axis=1)[:, 0]
        panels = explainers.panels(
            batch.probe.view,
            np.asarray(batch.images)[rows],
            labels,
            batch.options.explainer,
        )
        return {
            row: dict(panel.shown(number) for panel in panels)
            for number, row in enumerate(rows)
        }

    def settle(self, views):
        """Keeps the chosen ones of the views that a model has shown of a data set.

        Args:
            views: Dict of all that `views` has returned for the model. The first
                model decides on the wrong ones.

        Returns:
            Dict of the views of the chosen images.
        """
        if not self._settled:
            others = sorted(self._drawn - set(self._wrong), key=self._rank.__getitem__)
            self._drawn = {*self._wrong, *others[: self._count - len(self._wrong)]}
            self._settled = True
        return {place: views[place] for place in views if place in self._drawn}

    def samples(self, batches, views):
        """The chosen images with what every model shows of them.

        Args:
            batches: The data set once more, `(images, labels, where)` at a time.
            views: Dict from the name of a model to all that `views` has returned
                for it.

        Returns:
            List of `keras_xcons.report.Sample`, in the order of the data set.
        """
        found, first = [], 0
        last = max(self._drawn, default=-1)
        for images, labels, where in batches:
            if first > last:
                break
            labels = class_indices(labels, self._multi_label).numpy()
            for row in range(len(images)):
                place = first + row
                if place not in self._drawn:
                    continue
                mask = where["masks"][row, ..., 0] == 1 if "masks" in where else None
                sample = Sample(
                    index=place,
                    label=self._label(labels[row]),
                    image=_pixels(images[row]),
                    boxes=where["boxes"][row] if "boxes" in where else None,
                    mask=mask,
                    views={name: kept[place] for name, kept in views.items()},
                )
                found.append(sample)
            first += len(images)
        return found

    def _label(self, label):
        if not self._multi_label:
            return self._names[int(label)]
        return self._listed(label > 0)

    def _predicted(self, chances):
        if not self._multi_label:
            return self._names[int(chances.argmax())]
        return self._listed(chances > 0.5)

    def _listed(self, told):
        return ", ".join(self._names[place] for place in np.flatnonzero(told)) or "none"


def _pixels(image):
    """A uint8 picture `(H, W, 3)` of an image of 1 or 3 channels."""
    image = np.rint(np.asarray(image)).astype("uint8")
    return np.broadcast_to(image, (*image.shape[:2], 3))
