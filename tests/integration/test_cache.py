"""`-ctk` and `-ctv`: how keys and values are cached."""
import json

import pytest

CODES = ["-ctk", "q8_0", "-ctv", "q8_0"]
WORDS = ["-ctk", "q16", "-ctv", "q16"]
EXACT = ["--against-cache-type-k", "f32", "--against-cache-type-v", "f32"]


def divergence(stonechat, model, text, *flags):
    words = ["eval", "kl", model, "--against", model, "--text", text, "--json", *flags]
    return json.loads(stonechat(*words).stdout)["mean_kl"]


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the inn and the mill in the rain, and then the sea. " * 20)
    return path


@pytest.mark.aarch64
def test_each_type_costs_what_it_rounds(stonechat, tiny_model, text_file):
    def cost(keys, values):
        return divergence(stonechat, tiny_model, text_file, "-c", "64", "-ctk", keys, "-ctv", values, *EXACT)

    assert cost("f32", "f32") == 0
    assert 0 < cost("f16", "f16") < 1e-6
    assert 0 < cost("q16", "q16") < 1e-6
    assert cost("f16", "f16") < cost("q8_0", "f16") < 1e-3
    assert cost("f16", "f16") < cost("f16", "q8_0") < 1e-3


@pytest.mark.parametrize("cache", [CODES, WORDS])
def test_same_result_for_any_threads_and_batch(stonechat, tiny_model, cache):
    flags = ["run", tiny_model, "the rain and the sea", "-n", "20", "--greedy", "--ignore-eos", "--json", *cache]
    texts = {json.loads(stonechat(*flags, "-t", t, "-b", b).stdout)["text"] for t in "12" for b in ("3", "512")}
    assert len(texts) == 1


@pytest.mark.slow_model
def test_codes_cost_a_real_model_nothing_that_shows(stonechat, smollm2_files):
    """A model without key biases, its weights as floats, so that nothing else rounds."""
    import conftest

    f32, _ = smollm2_files
    text = conftest.ROOT / "README.md"
    cost = divergence(stonechat, f32, text, "-c", "512", "--windows", "2", *CODES, *EXACT)
    assert 0 < cost < 0.0004
    assert divergence(stonechat, f32, text, "-c", "512", "--windows", "2", *WORDS, *EXACT) < 1e-6


def test_long_flags_and_chat(stonechat, tiny_model):
    result = stonechat("run", tiny_model, "the sea", "-n", "2", "--cache-type-k", "q8_0", "--cache-type-v", "f32")
    assert result.returncode == 0
    assert stonechat("chat", tiny_model, *CODES, "-n", "2", input="the sea\n").stdout


@pytest.mark.parametrize("words", [["run", "x"], ["chat"], ["eval", "ppl", "--text", "none.txt"]])
def test_wrong_type_is_named(stonechat, tiny_model, words):
    word, *rest = words
    words = [word, rest[0], tiny_model, *rest[1:]] if word == "eval" else [word, tiny_model, *rest]
    result = stonechat(*words, "-ctv", "q4_0", check=False)
    assert result.returncode == 2 and "--cache-type-v: expected f32, f16, q16 or q8_0, got 'q4_0'" in result.stderr
