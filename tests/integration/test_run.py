"""`stonechat run`."""
import json
import signal
import subprocess
import time

import pytest

FRANCE = "The capital of France is"


def greedy(stonechat, model, prompt=FRANCE, *more, **keywords):
    return stonechat("run", model, prompt, "--greedy", "-n", "24", *more, **keywords).stdout


@pytest.mark.slow_model
@pytest.mark.threads
@pytest.mark.aarch64
def test_completes_a_text(stonechat, smollm2):
    assert greedy(stonechat, smollm2).startswith(" Paris.")


@pytest.mark.aarch64
@pytest.mark.threads
def test_json(stonechat, tiny_model):
    out = json.loads(stonechat("run", tiny_model, "the inn", "--json", "-n", "9", "--seed", "3", "--ignore-eos").stdout)
    assert out["generated_tokens"] == 9 and out["end_reason"] == "length" and out["seed"] == 3
    assert out["prompt_tokens"] == 4  # the, space, in, n
    assert isinstance(out["text"], str)


def test_prompt_from_file_argument_and_standard_input_are_the_same(stonechat, tiny_model, tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("and then")
    expected = greedy(stonechat, tiny_model, "and then")
    flags = ["--greedy", "-n", "24"]
    assert stonechat("run", tiny_model, "--file", path, *flags).stdout == expected
    assert stonechat("run", tiny_model, *flags, input="and then").stdout == expected
    assert stonechat("run", tiny_model, "-", *flags, input="and then").stdout == expected


def test_prompt_and_file_is_wrong_use(stonechat, tiny_model, tmp_path):
    result = stonechat("run", tiny_model, "x", "--file", tmp_path / "x", check=False)
    assert result.returncode == 2 and "not both" in result.stderr


def test_empty_prompt(stonechat, tiny_model):
    result = stonechat("run", tiny_model, "", check=False)
    assert result.returncode == 2 and "prompt is empty" in result.stderr


def test_prompt_longer_than_the_context_names_both_counts(stonechat, tiny_model):
    result = stonechat("run", tiny_model, "x" * 300, check=False)
    assert result.returncode == 1
    assert "300 tokens" in result.stderr and "256" in result.stderr
    assert result.stdout == ""


def test_context_larger_than_trained(stonechat, tiny_model):
    result = stonechat("run", tiny_model, "x", "-c", "512", check=False)
    assert result.returncode == 2 and "256" in result.stderr and "512" in result.stderr


def test_ends_when_the_context_is_full(stonechat, tiny_model):
    out = json.loads(stonechat("run", tiny_model, "x" * 200, "--json", "-c", "210", "--ignore-eos").stdout)
    assert out["end_reason"] == "context" and out["generated_tokens"] == 11


def test_same_seed_same_text(stonechat, tiny_model):
    def text(seed):
        return stonechat("run", tiny_model, "the", "-n", "40", "--seed", seed, "--ignore-eos").stdout

    assert text(7) == text(7)
    assert text(7) != text(8)


@pytest.mark.parametrize("flags", [["-t", "1"], ["-t", "3"], ["-b", "1"], ["-b", "7"]])
def test_threads_and_batches_do_not_change_the_text(stonechat, tiny_model, flags):
    prompt = "the inn and the mill and the sea in the rain"
    assert greedy(stonechat, tiny_model, prompt, *flags) == greedy(stonechat, tiny_model, prompt)


def kernel_names(stonechat):
    words = stonechat("--version").stdout.split("(of")[1].rstrip(")\n").split()
    return [word for word in words if "[" not in word and word not in ("not", "on", "this", "processor]")]


@pytest.mark.slow_model
def test_every_table_of_kernels_gives_the_same_text(stonechat, smollm2):
    texts = {
        isa: greedy(stonechat, smollm2, FRANCE, env={"STONECHAT_ISA": isa}) for isa in kernel_names(stonechat)
    }
    assert "scalar" in texts
    assert len(set(texts.values())) == 1, texts


@pytest.mark.slow_model
def test_stop_text_is_not_shown(stonechat, smollm2):
    out = json.loads(greedy(stonechat, smollm2, FRANCE, "--json", "--stop", "Paris", "--stop", "zebra"))
    assert out["end_reason"] == "stop" and out["text"] == " "


@pytest.mark.parametrize(
    "flag, value, word",
    [("--top-p", "0", "top-p"), ("--temp", "-1", "temperature"), ("--min-p", "2", "min-p"), ("--stop", "", "stop")],
)
def test_option_out_of_range(stonechat, tiny_model, flag, value, word):
    result = stonechat("run", tiny_model, "x", "-n", "2", flag, value, check=False)
    assert result.returncode == 2 and word in result.stderr


def test_every_sampler_runs(stonechat, tiny_model):
    flags = "--temp 1.2 --top-k 50 --top-p 0.9 --min-p 0.02 --typical 0.9 --repeat-penalty 1.2".split()
    flags += "--presence-penalty 0.3 --frequency-penalty 0.2 --repeat-last-n 32 --seed 5".split()
    assert stonechat("run", tiny_model, "the", "-n", "30", *flags).stdout.strip()


@pytest.mark.slow_model
def test_interrupt_is_exit_code_130(command, smollm2):
    process = subprocess.Popen(
        [*command, "run", str(smollm2), "Once", "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout.read(8)
    process.send_signal(signal.SIGINT)
    start = time.time()
    process.communicate(timeout=60)
    assert process.returncode == 130 and time.time() - start < 30


def test_streamed_text_is_always_valid_utf8(stonechat, tiny_model):
    # A made-up model emits any bytes.
    out = stonechat("run", tiny_model, "in", "-n", "200", "--temp", "3", "--top-k", "0", "--top-p", "1", "--min-p", "0",
                    "--seed", "1", "--ignore-eos", text=False).stdout
    assert "\ufffd" in out.decode("utf-8")


def test_weights_of_other_types_are_reencoded_with_a_notice(stonechat, smollm2):
    result = stonechat("run", smollm2, FRANCE, "-n", "1", "--greedy")
    assert "re-encoded to Q8_0 at load (210 Q4_1)" in result.stderr
