"""Writes the reference page of the training methods, from what they declare.

    python tools/reference.py

It writes docs/methods.md and puts one line a method into the table of README.md. Run it
after a method or an option has been added or changed; tests/test_tools.py compares.
"""

import inspect
import pathlib
import re
import types

from absl import app
from pages import renewed

_CHECKOUT = pathlib.Path(__file__).parents[1]
PAGE, README = _CHECKOUT / "docs" / "methods.md", _CHECKOUT / "README.md"
START, END = "<!-- methods: tools/reference.py -->", "<!-- end of methods -->"

INTRODUCTION = """\
<!-- Written by tools/reference.py, from what each method declares. -->

# Training methods

A training method is a `keras.Model` that stands for your classifier while it trains it:
its `train_step` is the method. `compile`, `fit`, `evaluate`, `predict`, `save` and
`export`, your loss, metrics, optimizer, callbacks, sample and class weights work as in
Keras, and `trainer.classifier` is the plain model, trained. `kx.methods()` gives the
names.

```python
trainer = kx.trainer("xcons", classifier, epsilon=8.0)
trainer = kx.XConsModel(classifier, epsilon=8.0)  # the same
```

Options are given by keyword. One that is of another method, of the wrong type or out of
range is refused before any work, in a line that says what is accepted.
`help(kx.XConsModel)` tells the same as this page, and what a method adds to the logs of
`fit`.

Some methods follow a training: they explain a classifier that is trained already and
leave it as it is, so they are fitted by a call of their own. Their sections say so.
"""

COMMON = """\
## Common options

Every method that trains takes these, `objective`, and the arguments `name`, `dtype`,
`trainable` and `autocast` of `keras.Model`. `objective` is a dict of options of a
classifier with losses of its own, a ProtoPNet, which any method trains:
`kx.PlainModel(protopnet, objective={"cluster": 0.8})`.
`help(kx.protopnet.ProtoPNetOptions)` lists them.
"""


def overview(link=""):
    """One line a method, as lines of a Markdown table.

    Args:
        link: Where the page of the methods lies, seen from the table. Defaults to the
            page itself.

    Returns:
        List of strings.
    """
    lines = ["| method | class | what it is for | paper |", "|---" * 4 + "|"]
    for method in _methods():
        anchor = _heading(method).lower().replace(" ", "-")
        cells = [
            f"[`{method.name}`]({link}#{anchor})",
            f"`kx.{method.trainer.__name__}`",
            method.purpose,
            _linked(method.paper or "–"),
        ]
        lines.append(_row(cells))
    return lines


def page():
    """The text of docs/methods.md."""
    from keras_xcons.methods import MethodOptions

    parts = [INTRODUCTION, "\n".join(overview()) + "\n", COMMON]
    parts.append("\n".join(option_table(MethodOptions)) + "\n")
    parts += [section(method) for method in _methods()]
    return "\n".join(parts)


def section(method):
    """What the page says of one method.

    Args:
        method: `keras_xcons.methods.Method`.

    Returns:
        A string that ends in a line break.
    """
    from keras_xcons.methods import MethodOptions

    told = inspect.getdoc(method.trainer).partition("\nArgs:\n")[0].strip()
    # Its first line and the purpose are two ways to say one thing.
    _, _, description = told.partition("\n\n")
    paper = f" Paper: {_linked(method.paper)}." if method.paper else ""
    call = f"`kx.{method.trainer.__name__}(classifier)`"
    networks = {}
    if method.follows is None:
        call = f"`kx.trainer({_shown(method.name)}, classifier)`, {call}"
        facts = ["\n".join(f"- {need}" for need in needs(method)), neutral(method)]
        networks = method.trainer.networks
    else:
        facts = [
            f"{method.follows} `fit(dataset)` learns, `evaluate(dataset)` measures, "
            f"and on the command line it is `keras-xcons train --method={method.name} "
            "--model=NAME_OR_FILE`."
        ]
    paragraphs = [
        f"## {_heading(method)}",
        f"{call}. {method.purpose}{paper}",
        *([description] if description else []),
        *facts,
    ]
    if networks:
        rows = [_row([f"`{name}`", told]) for name, told in networks.items()]
        paragraphs.append("\n".join(["| network | what it is |", "|---|---|", *rows]))
    table = option_table(method.options, MethodOptions)
    if len(table) > 2:
        paragraphs.append("\n".join(table))
    else:
        paragraphs.append("It has no options but the common ones.")
    return "\n\n".join(paragraphs) + "\n"


def needs(method):
    """What a method needs of the classifier and the data.

    Args:
        method: `keras_xcons.methods.Method`.

    Returns:
        List of strings.
    """
    trainer = method.trainer
    keys = ", ".join(f'`"{key}"`' for key in trainer.keys) or "nothing"
    which = "any; it needs the logits alone."
    if trainer.needs_maps:
        which = "with a feature map, as it looks at heatmaps."
    elif not trainer.takes_objectives:
        which = "any but one with losses of its own, such as a ProtoPNet."
    return [
        f"Classifier: {which}",
        "Labels: -1 for an image that has none."
        if trainer.takes_unlabelled
        else "Labels: one for every image.",
        f"Batches: of {trainer.fewest_images} images or more; the last one of an epoch "
        "may be smaller."
        if trainer.fewest_images > 1
        else "Batches: of any size.",
        f'The dict of a batch may hold, beside `"image"`: {keys}.',
    ]


def neutral(method):
    """The sentence that tells which options make a method plain training."""
    if method.never_plain is not None:
        return f"No options make it plain training. {method.never_plain}"
    given = ", ".join(f"{name}={_shown(v)}" for name, v in method.neutral.items())
    how = f"With `{given}`" if given else "With its defaults"
    return f"{how} it learns what Keras' own `fit` learns."


def option_table(options, without=None):
    """The options of a method, as lines of a Markdown table.

    Args:
        options: Table of options, see `keras_xcons.options`.
        without: Table whose options are left out where they are declared alike.
            Defaults to none.

    Returns:
        List of strings.
    """
    from keras_xcons.options import default_of, fields

    known = fields(without) if without else {}
    lines = ["| option | type | default | accepted | what it is |", "|---" * 5 + "|"]
    for name, (kinds, declared) in fields(options).items():
        default = default_of(options, name)
        common = known.get(name) == (kinds, declared)
        if common and default == default_of(without, name):
            continue
        told = declared.help
        if not declared.told:
            told += " Not for the command or a recipe."
        cells = [
            f"`{name}`",
            " or ".join("None" if k is types.NoneType else k.__name__ for k in kinds),
            f"`{_shown(default)}`",
            _accepted(declared),
            told,
        ]
        lines.append(_row(cells))
    return lines


def replaced(readme):
    """The README with the table of the methods in the place of the one it has.

    Args:
        readme: Text that holds `START` and `END`.

    Returns:
        The new text.

    Raises:
        ValueError: The marks are not there.
    """
    link = PAGE.relative_to(README.parent).as_posix()
    return renewed(readme, START, END, lambda place: overview(link))


def _methods():
    from keras_xcons.methods import method_of, methods

    return [method_of(name) for name in methods()]


def _heading(method):
    return method.title[0].upper() + method.title[1:]


def _accepted(declared):
    """The choices or the range of an option."""
    if declared.choices is not None:
        return ", ".join(f"`{_shown(choice)}`" for choice in declared.accepted)
    low = declared.above if declared.low is None else declared.low
    if declared.high is not None:
        return f"{'[' if declared.above is None else '('}{low}, {declared.high}]"
    if low is None:
        return "–"
    return f"{'≥' if declared.above is None else '>'} {low}"


def _shown(value):
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _linked(paper):
    """The number of a paper as a link."""
    return re.sub(r"arXiv (\d{4}\.\d+)", r"[arXiv \1](https://arxiv.org/abs/\1)", paper)


def _row(cells):
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def main(argv):
    """Writes docs/methods.md and the README's table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    from keras_xcons.files import whole_file

    written = {PAGE: page(), README: replaced(README.read_text(encoding="utf-8"))}
    for path, text in written.items():
        with whole_file(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    app.run(main)
