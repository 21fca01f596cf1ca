import pathlib

from PIL import Image

from keras_xcons import cli, recipes


def test_explain(published, image_file, places, capsys):
    images = [image_file("a.png"), image_file("b.jpg")]
    code = cli.main(["explain", *images, "--model", published, "-o", "maps/deep"])
    captured = capsys.readouterr()
    assert (code, captured.err) == (0, "")
    assert len(captured.out.splitlines()) == 2
    written = sorted((places / "maps" / "deep").iterdir())
    assert [path.name for path in written] == ["a.png", "b.png"]
    for path in written:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", (16, 16))


def test_explain_takes_a_label_and_an_explainer(published, image_file, monkeypatch):
    calls = []

    def remember(*arguments, **more):
        calls.append((*arguments, more))
        return []

    monkeypatch.setattr(recipes, "explain_files", remember)
    flags = ["--model=m", "--label=ring", "--explainer=saliency", "--align=8,-2.5"]
    flags.append("--normalize=minmax")
    assert cli.main(["explain", *flags, "a.png", "b.png"]) == 0
    output = pathlib.Path("heatmaps")
    more = {"explainer": "saliency", "label": "ring"}
    more |= {"align": (8.0, -2.5), "normalize": "minmax"}
    assert calls == [("m", ["a.png", "b.png"], output, more)]


def test_another_alignment_is_refused(capsys):
    assert cli.main(["explain", "--model=m", "--align=up", "a.png"]) == 1
    assert "true, false, geometric, or rows,columns" in capsys.readouterr().err


def test_label_out_of_range_is_code_1(published, image_file, fails):
    arguments = ["explain", image_file("a.png"), f"--model={published}", "--label=3"]
    assert "0..2 or one of disc, ring, star. Received: label='3'" in fails(arguments, 1)


def test_file_that_is_no_image_is_named_and_code_1(
    published, image_file, places, capsys
):
    (places / "text.png").write_text("no image")
    images = ["text.png", image_file("a.png"), "missing.png"]
    assert cli.main(["explain", *images, f"--model={published}"]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "keras-xcons explain: error: text.png: is not an image, or of an unknown kind",
        "keras-xcons explain: error: missing.png: No such file or directory",
    ]
    assert len(captured.out.splitlines()) == 1
    assert [path.name for path in (places / "heatmaps").iterdir()] == ["a.png"]


def test_output_that_is_a_file_is_refused(published, image_file, fails):
    image = image_file("a.png")
    arguments = ["explain", image, f"--model={published}", "-o", image]
    assert f"Received: output='{image}'" in fails(arguments, 1)
