import signal

import pytest

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
    (folder / "report.html").write_text("an older report", encoding="utf-8")
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
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    assert (folder / "report.html").read_text(encoding="utf-8") == "an older report"


@pytest.mark.slow
def test_process_ends_with_130_on_ctrl_c(places):
    code = ENTRY.replace("; run()", "; print('ready', flush=True); run()")
    running = process("train", "--output=run", code=code)
    assert running.stdout.readline() == "ready\n"
    assert running.stdout.readline() == "\n"  # before the first run
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    assert err == "keras-xcons train: error: interrupted\n"
