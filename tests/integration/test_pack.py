"""stonechat pack: files in the layout of one table of kernels."""
import json
import os
import re
import signal
import subprocess
import time

import gguf
import numpy as np
import pytest

from test_convert_quantize import limit_file_size

import tiny_model as tiny

PROMPT = "the thin and then"


@pytest.fixture(scope="module")
def tiny_packed(stonechat, tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "tiny.packed"
    stonechat("pack", tiny_model, path)
    return path


def refused(stonechat, *arguments, code=1):
    result = stonechat(*arguments, check=False)
    assert result.returncode == code and result.stderr.startswith("stonechat: ")
    return result.stderr


def tables(stonechat):
    """(name, runs here) of the compiled kernels, lowest first."""
    line = re.search(r"kernels\s+\S+ \(of(.*)\)", stonechat("--version").stdout)[1]
    return [(re.match(r"[a-z0-9_]+", word)[0], "[not" not in word) for word in re.findall(r"\S+(?: on this processor\])?", line)]


def greedy(stonechat, model, **more):
    return stonechat("run", model, PROMPT, "-n", 24, "--greedy", "--ignore-eos", **more).stdout


@pytest.mark.aarch64
@pytest.mark.threads
def test_gives_the_same_text(stonechat, tiny_model, tiny_packed):
    assert greedy(stonechat, tiny_packed) == greedy(stonechat, tiny_model)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0"])
@pytest.mark.parametrize("arch", ["qwen2", "llama"])
def test_every_format_and_architecture(stonechat, tmp_path, arch, kind):
    model, packed = tmp_path / "m.gguf", tmp_path / "m.packed"
    tiny.write(model, arch=arch, separate_head=True, types=lambda _: gguf.GGMLQuantizationType[kind])
    stonechat("pack", model, packed, "-t", 1)
    assert greedy(stonechat, packed) == greedy(stonechat, model)


@pytest.mark.slow_model
def test_a_whole_model(stonechat, smollm2_files, tmp_path):
    packed = tmp_path / "m.packed"
    out = stonechat("pack", smollm2_files[1], packed).stdout
    assert "packed for" in out and f"wrote {packed}" in out
    for flags in (["-t", 1], ["-t", 2]):
        words = ["Once upon a time", "-n", 32, "--greedy", *flags]
        assert stonechat("run", packed, *words).stdout == stonechat("run", smollm2_files[1], *words).stdout
    rows = [
        json.loads(stonechat("bench", "-m", path, "-p", 16, "-n", 2, "-r", 1, "-o", "json").stdout)[0]
        for path in (smollm2_files[1], packed)
    ]
    for key in ("model_type", "model_size", "model_n_params"):
        assert rows[0][key] == rows[1][key]


def test_each_table_makes_and_runs_its_own(stonechat, tiny_model, tmp_path):
    for name, runs in tables(stonechat):
        packed = tmp_path / f"{name}.packed"
        if runs:
            stonechat("pack", tiny_model, packed, "--isa", name)
            environment = {"STONECHAT_ISA": name}
            assert greedy(stonechat, packed, env=environment) == greedy(stonechat, tiny_model, env=environment)
        else:
            result = stonechat("pack", tiny_model, packed, "--isa", name, check=False)
            assert result.returncode == 2 and "--isa: this processor" in result.stderr and f"'{name}'" in result.stderr
            assert not packed.exists()


def test_other_tables_refuse_it_by_name(stonechat, tiny_model, tmp_path):
    running = [name for name, runs in tables(stonechat) if runs]
    if len(running) < 2:
        pytest.skip("one table only")
    packed = tmp_path / "m.packed"
    stonechat("pack", tiny_model, packed, "--isa", running[-1])
    for command in (["run", packed, "a"], ["chat", packed], ["bench", "-m", packed]):
        result = stonechat(*command, input="hi", env={"STONECHAT_ISA": running[0]}, check=False)
        assert result.returncode == 1
        assert f"packed for the kernels '{running[-1]}', but '{running[0]}' run here" in result.stderr
        assert f"stonechat pack MODEL OUT --isa {running[0]}" in result.stderr
    shown = stonechat("inspect", packed, env={"STONECHAT_ISA": running[0]}).stdout
    assert f"packed for the kernels {running[-1]}" in shown and "cannot be run" in shown


def test_unknown_table(stonechat, tiny_model, tmp_path):
    result = stonechat("pack", tiny_model, tmp_path / "o", "--isa", "mmx", check=False)
    assert result.returncode == 2 and "--isa: unknown kernels 'mmx', expected one of scalar" in result.stderr


def test_every_command_takes_it(stonechat, tiny_model, tiny_packed, tmp_path):
    question = {"input": "the", "text": True}
    assert (
        stonechat("chat", tiny_packed, "-n", 8, "--greedy", **question).stdout
        == stonechat("chat", tiny_model, "-n", 8, "--greedy", **question).stdout
    )
    text = tmp_path / "text"
    text.write_text("the thin and then " * 20)
    assert (
        stonechat("eval", "ppl", tiny_packed, "--text", text, "-c", 64).stdout
        == stonechat("eval", "ppl", tiny_model, "--text", text, "-c", 64).stdout
    )
    assert stonechat("tokenize", tiny_packed, "the and").stdout == stonechat("tokenize", tiny_model, "the and").stdout
    assert stonechat("bench", "-m", tiny_packed, "-p", 8, "-n", 2, "-r", 1).returncode == 0


def test_inspect_shows_it(stonechat, tiny_model, tiny_packed):
    shown = stonechat("inspect", tiny_packed, "--tensors").stdout
    assert "packed for the kernels" in shown and "blk.1.ffn_gate_up.pack" in shown and "a run with" in shown
    packed, plain = (json.loads(stonechat("inspect", path, "--json").stdout) for path in (tiny_packed, tiny_model))
    assert packed["parameters"] == plain["parameters"]
    assert packed["packed"]["source_bytes"] == plain["tensor_bytes"] and packed["packed"]["source_type"] == "F32"
    assert packed["metadata"]["stonechat.pack.isa"] == packed["packed"]["isa"]


def test_the_gguf_package_reads_it(tiny_packed):
    reader = gguf.GGUFReader(tiny_packed)
    assert bytes(reader.fields["general.architecture"].parts[-1]) == b"stonechat-packed"
    assert all(tensor.data_offset % 4096 == 0 for tensor in reader.tensors)


def test_the_same_bytes_each_time(stonechat, tiny_model, tiny_packed, tmp_path):
    stonechat("pack", tiny_model, tmp_path / "again", "-t", 1)
    assert (tmp_path / "again").read_bytes() == tiny_packed.read_bytes()


# What is refused


def test_wrong_use(stonechat, tiny_model, tiny_packed, tmp_path):
    before = tiny_model.read_bytes()
    assert "the output is the input" in refused(stonechat, "pack", tiny_model, tiny_model, code=2)
    link = tmp_path / "link"
    link.symlink_to(tiny_model)
    assert "the output is the input" in refused(stonechat, "pack", tiny_model, link, code=2)
    assert tiny_model.read_bytes() == before
    assert "is packed already" in refused(stonechat, "pack", tiny_packed, tmp_path / "o", code=2)
    assert "no/o" in refused(stonechat, "pack", tiny_model, tmp_path / "no/o")
    for command in (["quantize", "--type", "q8_0"], ["convert", "--to", "f32"]):
        message = refused(stonechat, command[0], tiny_packed, tmp_path / "o", *command[1:])
        assert "found a packed file; take the GGUF file that it was made from" in message
    assert not (tmp_path / "o").exists()


def patched(path, out, old, new):
    data = path.read_bytes()
    assert data.count(old) == 1 and len(old) == len(new)
    out.write_bytes(data.replace(old, new))
    return out


def test_another_layout_is_refused(stonechat, tiny_packed, tmp_path):
    fingerprint = json.loads(stonechat("inspect", tiny_packed, "--json").stdout)["metadata"]["stonechat.pack.fingerprint"]
    out = patched(tiny_packed, tmp_path / "m", fingerprint.encode(), b"0" * 64)
    message = refused(stonechat, "run", out, "a")
    assert f"found {'0' * 64}, the layout of the kernels" in message and "stonechat pack MODEL OUT" in message


def test_another_byte_order_is_refused(stonechat, tiny_packed, tmp_path):
    old = b"\x06\0\0\0\0\0\0\0little"
    out = patched(tiny_packed, tmp_path / "m", old, old.replace(b"little", b"biglit"))
    message = refused(stonechat, "run", out, "a")
    assert "byte_order: found 'biglit', this machine wants little" in message and "stonechat pack MODEL OUT" in message


def test_cut_files_are_refused(stonechat, tiny_packed, tmp_path):
    data = tiny_packed.read_bytes()
    for size in (0, 10, 5000, len(data) // 2, len(data) - 5000):
        (tmp_path / "m").write_bytes(data[:size])
        assert str(tmp_path / "m") in refused(stonechat, "run", tmp_path / "m", "a")


def test_file_cut_while_in_use(command, stonechat, tiny_packed, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(tiny_packed.read_bytes())
    process = subprocess.Popen(
        [*command, "bench", "-m", str(path), "-p", "64", "-n", "0", "-r", "100000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    time.sleep(1.5)
    assert process.poll() is None
    os.truncate(path, 4096)
    assert process.wait(60) == 1
    assert f"{path}: cannot be read any more" in process.stderr.read()


# Files appear whole or not at all


@pytest.mark.slow_model
def test_killed_at_random_points_leaves_the_old_file(command, smollm2_files, tmp_path):
    out = tmp_path / "out"
    start = time.monotonic()
    subprocess.run([*command, "pack", str(smollm2_files[1]), str(out)], check=True, capture_output=True)
    seconds = time.monotonic() - start
    complete = out.read_bytes()
    random = np.random.default_rng()
    outcomes = set()
    for _ in range(12):
        out.write_bytes(b"old")
        process = subprocess.Popen(
            [*command, "pack", str(smollm2_files[1]), str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(float(random.uniform(0, seconds)))
        process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.wait()
        found = out.read_bytes()
        assert found in (b"old", complete)
        outcomes.add(found == complete)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert False in outcomes


def test_write_that_fails_leaves_the_old_file(stonechat, tiny_model, tmp_path):
    out = tmp_path / "out"
    out.write_bytes(b"old")
    result = stonechat("pack", tiny_model, out, check=False, preexec_fn=limit_file_size)
    assert result.returncode == 1 and "out: cannot write" in result.stderr
    assert out.read_bytes() == b"old" and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_disk_too_small_is_told_before_any_work(stonechat, smollm2, tiny_disk):
    result = stonechat("pack", smollm2, tiny_disk / "out", check=False)
    assert result.returncode == 1 and "MiB free" in result.stderr
    assert list(tiny_disk.iterdir()) == []
