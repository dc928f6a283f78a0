"""`stonechat inspect` against the gguf package."""
import json

import gguf
import pytest


@pytest.mark.aarch64
def test_json(stonechat, smollm2):
    shown = json.loads(stonechat("inspect", smollm2, "--json", "--tensors").stdout)
    reader = gguf.GGUFReader(smollm2)
    assert shown["version"] == 3 and shown["bytes"] == smollm2.stat().st_size
    assert [tensor["name"] for tensor in shown["tensors"]] == [tensor.name for tensor in reader.tensors]
    for ours, theirs in zip(shown["tensors"], reader.tensors):
        assert ours["type"] == theirs.tensor_type.name
        assert ours["shape"] == [int(size) for size in theirs.shape]
        assert (ours["offset"], ours["bytes"]) == (theirs.data_offset, theirs.n_bytes)
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        value, expected = shown["metadata"][key], field.contents()
        if isinstance(expected, list):
            assert value["count"] == len(expected) and value["first"] == expected[:8]
        else:
            assert value == pytest.approx(expected) if isinstance(expected, float) else value == expected
    assert shown["parameters"] == sum(int(tensor.n_elements) for tensor in reader.tensors)
    run = shown["run"]
    head_bytes = {"f16": 64 * 2, "q16": 64 * 2 + 4}[run["cache_type"]]
    assert run["context"] == 4096 and run["cache_bytes"] == 4096 * 30 * 2 * 3 * head_bytes
    assert run["cache_q8_0_bytes"] == 4096 * 30 * 2 * 3 * (64 + 4)
    assert run["total_bytes"] == run["weights_bytes"] + run["cache_bytes"] + run["activation_bytes"]


def test_text(stonechat, tiny_model):
    text = stonechat("inspect", tiny_model, "--tensors").stdout
    for line in ("general.architecture", "blk.1.ffn_down.weight", "a run with 256 tokens of context takes about"):
        assert line in text


def test_file_that_cannot_be_run_is_shown_all_the_same(stonechat, tmp_path):
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(str(path), "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    text = stonechat("inspect", path).stdout
    assert '"mamba"' in text and "cannot be run" in text
    assert "error" in json.loads(stonechat("inspect", path, "--json").stdout)["run"]
