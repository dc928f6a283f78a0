"""`stonechat eval`."""
import json
import math
import statistics

import pytest

TEXT = "the inn and the mill in the rain, and then the sea. " * 20


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def kl(stonechat, model, reference, text, *flags):
    return json.loads(stonechat("eval", "kl", model, "--against", reference, "--text", text, "--json", *flags).stdout)


def test_model_against_itself(stonechat, tiny_model, text_file):
    result = kl(stonechat, tiny_model, tiny_model, text_file, "-c", "64")
    assert result["same_top"] == 1 and 0 <= result["max_kl"] < 1e-9
    assert result["top5_overlap"] == 1 and result["probability_difference_rms"] == 0
    assert result["ppl"] == result["ppl_reference"]
    ppl = json.loads(stonechat("eval", "ppl", tiny_model, "--text", text_file, "-c", "64", "--json").stdout)
    assert ppl["ppl"] == pytest.approx(result["ppl"], rel=1e-12)
    assert ppl["tokens"] == result["tokens"] == ppl["windows"] * 31


def test_quantized_tiny_model_is_near(stonechat, tiny_model, text_file, tmp_path):
    q8 = tmp_path / "q8.gguf"
    stonechat("quantize", tiny_model, q8, "--type", "q8_0")
    result = kl(stonechat, q8, tiny_model, text_file, "-c", "64")
    assert 0 < result["mean_kl"] < 0.01
    assert result["median_kl"] <= result["p90_kl"] <= result["p99_kl"] <= result["max_kl"]
    assert 0.8 < result["top5_overlap"] < 1
    assert 0 < abs(result["probability_difference"]) <= result["probability_difference_rms"] < 0.05
    assert result["mean_kl_error"] > 0 and result["top5_overlap_error"] > 0
    assert result == kl(stonechat, q8, tiny_model, text_file, "-c", "64", "-t", "1")


def test_ratio_of_perplexities_has_the_error_of_its_windows(stonechat, tiny_model, text_file, tmp_path):
    q4 = tmp_path / "q4.gguf"
    stonechat("quantize", tiny_model, q4, "--type", "q4_0")
    logs, windows = [0.0], []
    for count in range(1, 5):
        result = kl(stonechat, q4, tiny_model, text_file, "-c", "64", "--windows", count)
        logs.append(count * math.log(result["ppl"] / result["ppl_reference"]))
        windows.append(logs[-1] - logs[-2])
    assert result["log_ppl_ratio"] == pytest.approx(statistics.mean(windows), rel=1e-6)
    assert result["log_ppl_ratio_error"] == pytest.approx(statistics.stdev(windows) / 2, rel=1e-6)


def test_perplexity_has_the_error_of_its_windows(stonechat, tiny_model, text_file):
    sums, windows = [0.0], []
    for count in range(1, 5):
        words = ["eval", "ppl", tiny_model, "--text", text_file, "-c", "64", "--windows", count, "--json"]
        result = json.loads(stonechat(*words).stdout)
        sums.append(count * math.log(result["ppl"]))
        windows.append(sums[-1] - sums[-2])
    assert result["ppl_error"] == pytest.approx(result["ppl"] * statistics.stdev(windows) / 2, rel=1e-6)


def test_text_shorter_than_a_window_names_both_counts(stonechat, tiny_model, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("the sea")
    result = stonechat("eval", "ppl", tiny_model, "--text", path, "-c", "128", check=False)
    assert result.returncode == 2 and "128" in result.stderr and "text has" in result.stderr


def test_missing_text(stonechat, tiny_model, tmp_path):
    result = stonechat("eval", "ppl", tiny_model, "--text", tmp_path / "none.txt", check=False)
    assert result.returncode == 1 and "none.txt" in result.stderr


def test_models_of_different_vocabularies(stonechat, tiny_model, smollm2, text_file):
    flags = ["--against", smollm2, "--text", text_file, "-c", "64"]
    result = stonechat("eval", "kl", tiny_model, *flags, check=False)
    assert result.returncode == 2 and "different tokens" in result.stderr


@pytest.mark.slow_model
def test_perplexity_of_real_text(stonechat, smollm2_files):
    """English is likelier to a model of English than noise of its words."""
    import pathlib

    text = pathlib.Path(__file__).parent.parent.parent / "data/demo_text.txt"
    result = kl(stonechat, smollm2_files[1], smollm2_files[0], text, "-c", "256")
    # A model of 135 M parameters has less to spare than the reference, whose bounds are below.
    assert result["mean_kl"] < 0.006 and result["same_top"] > 0.94
    assert result["ppl"] == pytest.approx(result["ppl_reference"], rel=0.02)
    assert 5 < result["ppl"] < 60


@pytest.mark.long
@pytest.mark.slow_model
@pytest.mark.timeout(900)
def test_q8_0_of_the_reference_on_the_shared_text(stonechat, reference_files, shared_data):
    result = kl(stonechat, reference_files[1], reference_files[0], shared_data / "text/mix.txt", "-c", "512")
    assert result["mean_kl"] <= 0.0008
    assert result["same_top"] >= 0.984
