import json
import signal

import pytest

from keras_xcons import cli
from tests.cli.process import ENTRY, pictures, process


@pytest.mark.slow
def test_process_says_one_line_and_fails():
    running = process("info", "nonsense")
    out, err = running.communicate()
    assert (running.returncode, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("keras-xcons info: error: Unknown model.")
    assert err.endswith("Received: model='nonsense'\n")


@pytest.mark.slow
def test_process_explains_many_files_without_a_note(published, image_file, places):
    images = [image_file(f"{number}.png") for number in range(7)]
    running = process("explain", *images, f"--model={published}")
    out, err = running.communicate()
    assert (running.returncode, err) == (0, "")
    assert len(out.splitlines()) == 7
    assert len(list((places / "heatmaps").iterdir())) == 7


@pytest.mark.slow
def test_interrupted_evaluation_leaves_the_old_report_alone(published, places):
    folder = places / "report"
    folder.mkdir()
    older = {"report.html": "older", "report.csv": "older"}
    older["report.json"] = '{"provenance": {"versions": {"keras_xcons": "1.0"}}}'
    for name, text in older.items():
        (folder / name).write_text(text, encoding="utf-8")
    running = process(
        *("evaluate", published, f"--dataset={pictures(places, 400)}"),
        *("--output=report", "--batch_size=1"),
    )
    for line in running.stdout:
        if "Evaluating" in line:
            break
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    assert err == "keras-xcons evaluate: error: interrupted\n"
    assert {path.name: path.read_text() for path in folder.iterdir()} == older


# Kills itself when the first file of the new report has taken its place.
KILLED = """
import os, signal
replace = os.replace

def replace_and_die(one, other):
    replace(one, other)
    if str(other) == os.path.join("report", "report.csv"):
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace_and_die
"""


@pytest.mark.slow
def test_killed_evaluation_leaves_no_new_report_beside_an_old_one(published, places):
    data = pictures(places, 6)
    fast = ["--metrics=accuracy", "--gallery=0", "--output=report"]
    command = ["evaluate", published, f"--dataset={data}", *fast]
    assert cli.main(command) == 0
    folder = places / "report"
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(old) == 3
    running = process(*command, "--metrics=gini", "--seed=7", code=f"{KILLED}\n{ENTRY}")
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    seen = {path.name for path in folder.iterdir() if path.name.startswith("report")}
    assert seen == {"report.csv"}
    assert (folder / "report.csv").read_bytes() != old["report.csv"]
    # The next one there brings in what was left, even if it fails itself.
    assert cli.main([*command, "--metrics=pxap"]) == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(old)
    assert json.loads((folder / "report.json").read_text())["provenance"]["seed"] == 7


@pytest.mark.slow
def test_process_ends_with_130_on_ctrl_c(places):
    code = ENTRY.replace("; run()", "; print('ready', flush=True); run()")
    running = process("train", "--output=run", code=code)
    assert running.stdout.readline() == "ready\n"
    assert running.stdout.readline() == "\n"  # before the first run
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    assert err.startswith("keras-xcons train: error: interrupted; the same command")
