"""Splits as TFDS writes them: `"train"`, `"train[:80%]"`, `"train+test"`."""

from keras_xcons import checks


def check_names(split, accepted):
    """Refuses a split specification that names a split which is not there.

    Args:
        split: str, a TFDS split specification.
        accepted: Names of the splits there are.

    Returns:
        The names of the splits, in the order in which they are read.

    Raises:
        TypeError: `split` is not a string.
        ValueError: It names an unknown split.

    Example:

    >>> check_names("train[:80%]+test", ["train", "test"])
    ['train', 'test']
    """
    if not isinstance(split, str):
        raise TypeError(
            "`split` must be a string such as 'train' or 'train[:80%]'. "
            f"Received: split={split!r}"
        )
    if split == "all":
        return list(accepted)
    found = [part.partition("[")[0].strip() for part in split.split("+")]
    for name in found:
        if name not in accepted:
            raise ValueError(checks.unknown("split", name, accepted))
    return found


def ranges(split, sizes):
    """Resolves a split specification.

    Args:
        split: str, a TFDS split specification.
        sizes: `{name: number of examples}` of the splits there are.

    Returns:
        A list of `(name, start, stop)`, in the order in which they are read.

    Raises:
        TypeError: `split` is not a string.
        ValueError: A split is unknown, or the specification is malformed or
            selects nothing.

    Example:

    >>> ranges("train[90%:]", {"train": 50, "test": 20})
    [('train', 45, 50)]
    """
    check_names(split, sizes)
    if sizes.get(split):
        return [(split, 0, sizes[split])]

    import tensorflow_datasets as tfds

    splits = tfds.core.splits.SplitDict(
        [
            tfds.core.SplitInfo(name=name, shard_lengths=[size], num_bytes=0)
            for name, size in sizes.items()
        ]
    )
    try:
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(splits)
    except (ValueError, AssertionError, NotImplementedError) as error:
        if "incompatible" in str(error):
            raise ValueError(
                f"A slice must lie within its split, here of {_counted(sizes)}. "
                f"Received: split={split!r}"
            ) from error
        raise ValueError(
            "A split is a name, a slice 'train[:80%]' or 'train[10:20]', or several "
            f"joined by '+'. Received: split={split!r}"
        ) from error
    selected = [
        (
            part.splitname,
            part.from_ or 0,
            sizes[part.splitname] if part.to is None else part.to,
        )
        for part in parts
    ]
    if not any(stop > start for _, start, stop in selected):
        raise ValueError(f"The split selects no image. Received: split={split!r}")
    return selected


def _counted(sizes):
    """Text such as `"50 train, 20 test examples"`."""
    return ", ".join(f"{size} {name}" for name, size in sizes.items()) + " examples"


def spread(split, sizes, count, blocks=20):
    """A part of a split that is spread over all of it, as folders are sorted by class.

    Args:
        split: str, a TFDS split specification.
        sizes: `{name: number of examples}` of the splits there are.
        count: Number of examples to have, or nearly so where the split is given in
            parts; all where there are no more.
        blocks: Number of runs of neighbours that they are taken in. Defaults to 20;
            our choice.

    Returns:
        str, a split specification.

    Raises:
        TypeError, ValueError: As `ranges`.

    Example:

    >>> spread("train", {"train": 100}, 4, blocks=2)
    'train[0:2]+train[50:52]'
    """
    parts = ranges(split, sizes)
    total = sum(stop - start for _, start, stop in parts)
    if total <= count:
        return split
    chosen = []
    for name, start, stop in parts:
        wanted = max(1, round(count * (stop - start) / total))
        runs = min(blocks, wanted)
        for number in range(runs):
            first = start + number * (stop - start) // runs
            length = (number + 1) * wanted // runs - number * wanted // runs
            chosen.append(f"{name}[{first}:{first + length}]")
    return "+".join(chosen)
