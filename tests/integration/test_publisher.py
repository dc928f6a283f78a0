"""`stonechat convert` and `quantize` of a publisher's directory, against gguf, safetensors and tokenizers."""
import json
import math
import os
import signal
import subprocess
import time

import gguf
import numpy as np
import publisher_files as publisher
import pytest
import safetensors
import tiny_model
import tokenizers
from hub_server import Hub
from test_convert_quantize import limit_file_size

TEXT = "The cat and 12345 hats, isn't it?\n\n  caf\u00e9 \u4f60\u597d \U0001f680\t<|im_end|> don't\r\n x  y"


def fields(file):
    """{key: (types, value)}, so that a value of another width counts as another."""
    reader = file if isinstance(file, gguf.GGUFReader) else gguf.GGUFReader(file)
    return {
        key: ([kind.name for kind in field.types], field.contents())
        for key, field in reader.fields.items() if not key.startswith("GGUF.")
    }


def tensors(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def floats(tensor):
    shape = tuple(int(size) for size in reversed(tensor.shape))
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)


def same_bits(left, right):
    return np.array_equal(left.view(np.uint32), right.view(np.uint32))


def converted(stonechat, directory, out, kind="f32", *flags):
    stonechat("convert", directory, out, "--to", kind, *flags)
    return out


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Tiny GGUF models by architecture, with K in two heads so that an order of heads would show."""
    folder = tmp_path_factory.mktemp("models")
    paths = {}
    for arch in ("qwen2", "llama"):
        paths[arch] = folder / f"{arch}.gguf"
        tiny_model.write(paths[arch], arch=arch)
    return paths


@pytest.fixture
def directory(models, tmp_path):
    """A good directory to change."""
    path = tmp_path / "Tiny-Model"
    publisher.write(path, models["llama"])
    return path


# Values


@pytest.mark.aarch64
@pytest.mark.parametrize("arch", ["qwen2", "llama"])
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_round_trip_keeps_every_bit(stonechat, models, tmp_path, arch, kind):
    publisher.write(tmp_path / "in", models[arch], kind=kind)
    out = converted(stonechat, tmp_path / "in", tmp_path / "out.gguf", kind.lower())
    original, result = tensors(models[arch]), tensors(out)
    assert set(original) == set(result)
    for name, tensor in original.items():
        expected = floats(tensor)
        is_matrix = expected.ndim > 1
        wanted = gguf.GGMLQuantizationType[kind if is_matrix else "F32"]
        assert result[name].tensor_type == wanted
        rounded = gguf.quants.dequantize(
            gguf.quants.quantize(expected, gguf.GGMLQuantizationType[kind]), gguf.GGMLQuantizationType[kind])
        assert same_bits(floats(result[name]), rounded.astype(np.float32).reshape(expected.shape)), name


@pytest.mark.parametrize("stored", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("wanted", ["f32", "f16", "bf16"])
def test_values_are_those_that_safetensors_reads(stonechat, models, tmp_path, stored, wanted):
    publisher.write(tmp_path / "in", models["qwen2"], kind=stored)
    result = tensors(converted(stonechat, tmp_path / "in", tmp_path / "out.gguf", wanted))
    read = safetensors.deserialize((tmp_path / "in/model.safetensors").read_bytes())
    assert len(read) == len(result)
    names = {publisher.published_name(name): name for name in result}
    for name, entry in read:
        assert entry["dtype"] == stored
        raw = np.frombuffer(bytes(entry["data"]), dtype=np.uint8)
        values = gguf.quants.dequantize(raw.view({"F32": np.float32, "F16": np.float16}.get(stored, np.uint8)),
                                        gguf.GGMLQuantizationType[stored]).astype(np.float32).reshape(entry["shape"])
        tensor = result[names[name]]
        kind = gguf.GGMLQuantizationType[wanted.upper() if values.ndim > 1 else "F32"]
        assert np.ascontiguousarray(tensor.data).view(np.uint8).tobytes() == gguf.quants.quantize(values, kind).tobytes()


def test_each_tensor_has_its_own_type(stonechat, models, tmp_path):
    kinds = ["F32", "F16", "BF16"]
    values = publisher.write(tmp_path / "in", models["llama"], kind=lambda name: kinds[len(name) % 3])
    result = tensors(converted(stonechat, tmp_path / "in", tmp_path / "out.gguf"))
    for name, tensor in tensors(models["llama"]).items():
        kind = gguf.GGMLQuantizationType[kinds[len(publisher.published_name(name)) % 3]]
        expected = gguf.quants.dequantize(gguf.quants.quantize(floats(tensor), kind), kind).astype(np.float32)
        assert same_bits(floats(result[name]), expected.reshape(floats(tensor).shape)), name
    assert len(values) == len(result)


@pytest.mark.parametrize("arch", ["qwen2", "llama"])
def test_shards_give_the_same_file(stonechat, models, tmp_path, arch):
    files = []
    for shards in (1, 2, 3):
        publisher.write(tmp_path / str(shards) / "Tiny", models[arch], shards=shards)
        files.append(converted(stonechat, tmp_path / str(shards) / "Tiny", tmp_path / f"{shards}.gguf", "bf16"))
    assert len({path.read_bytes() for path in files}) == 1


def test_order_in_the_file_does_not_matter(stonechat, models, tmp_path):
    outs = []
    for name, change in (("a", None), ("b", lambda entries: entries[::-1])):
        publisher.write(tmp_path / name / "Tiny", models["llama"], change=change)
        outs.append(converted(stonechat, tmp_path / name / "Tiny", tmp_path / f"{name}.gguf"))
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_same_bytes_for_any_number_of_threads(stonechat, directory, tmp_path):
    for command in (["convert", "--to", "f16"], ["quantize", "--type", "q8_0"]):
        outs = {}
        for threads in (1, 2, 5):
            out = tmp_path / f"{threads}.gguf"
            stonechat(command[0], directory, out, *command[1:], "-t", threads)
            outs[threads] = out.read_bytes()
        assert len(set(outs.values())) == 1


@pytest.mark.parametrize("arch", ["qwen2", "llama"])
def test_quantize_equals_convert_then_quantize(stonechat, models, tmp_path, arch):
    publisher.write(tmp_path / "in", models[arch], kind="BF16")
    stonechat("quantize", tmp_path / "in", tmp_path / "direct.gguf", "--type", "q8_0")
    f32 = converted(stonechat, tmp_path / "in", tmp_path / "f32.gguf")
    stonechat("quantize", f32, tmp_path / "two.gguf", "--type", "q8_0")
    assert (tmp_path / "direct.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


@pytest.mark.parametrize("arch", ["qwen2", "llama"])
def test_the_result_runs_like_the_original(stonechat, models, tmp_path, arch):
    publisher.write(tmp_path / "in", models[arch])
    out = converted(stonechat, tmp_path / "in", tmp_path / "out.gguf")
    texts = [stonechat("run", path, "the land", "-n", 12, "--temp", 0).stdout for path in (models[arch], out)]
    assert texts[0] == texts[1] and texts[0]


# Heads of embeddings


def add_head(entries, values=None):
    embedding = dict(entries)["model.embed_tokens.weight"]
    return [*entries, ("lm_head.weight", embedding if values is None else values)]


def test_tied_head_is_left_out(stonechat, models, tmp_path):
    publisher.write(tmp_path / "in", models["qwen2"], change=add_head)
    result = stonechat("convert", tmp_path / "in", tmp_path / "out.gguf", "--to", "f32")
    assert "lm_head.weight is left out" in result.stderr
    assert "output.weight" not in tensors(tmp_path / "out.gguf")


def test_separate_head_is_kept(stonechat, models, tmp_path):
    head = np.random.default_rng(5).standard_normal((len(tiny_model.vocabulary()[0]), tiny_model.WIDTH)).astype(np.float32)
    publisher.write(tmp_path / "in", models["qwen2"], change=lambda entries: add_head(entries, head),
                    config_changes={"tie_word_embeddings": False})
    result = tensors(converted(stonechat, tmp_path / "in", tmp_path / "out.gguf"))
    assert next(iter(result)) == "output.weight"  # as in files of the usual converter
    assert same_bits(floats(result["output.weight"]), head)
    # Without tie_word_embeddings both architectures' default is a head of its own.
    publisher.edit_json(tmp_path / "in/config.json", lambda config: config.pop("tie_word_embeddings"))
    assert "output.weight" in tensors(converted(stonechat, tmp_path / "in", tmp_path / "out.gguf"))


def test_tensors_that_nobody_reads_are_left_out(stonechat, models, tmp_path):
    extra = ("model.layers.0.self_attn.rotary_emb.inv_freq", np.ones(16, np.float32))
    publisher.write(tmp_path / "in", models["llama"], change=lambda entries: [*entries, extra])
    assert set(tensors(converted(stonechat, tmp_path / "in", tmp_path / "out.gguf"))) == set(tensors(models["llama"]))


# Metadata


@pytest.mark.parametrize("arch", ["qwen2", "llama"])
def test_metadata_of_a_round_trip(stonechat, models, tmp_path, arch):
    publisher.write(tmp_path / "tiny", models[arch])
    before, after = fields(models[arch]), fields(converted(stonechat, tmp_path / "tiny", tmp_path / "out.gguf"))
    for key, value in before.items():
        assert after[key] == (value if key != "general.name" else (["STRING"], "Tiny")), key
    new = {key: value[1] for key, value in after.items() if key not in before}
    assert new.pop("general.type") == "model" and new.pop("general.quantization_version") == 2
    assert new.pop("general.file_type") == 0 and new.pop("general.size_label").endswith("K")
    if arch == "llama":
        assert new.pop("llama.vocab_size") == len(tiny_model.vocabulary()[0])
        assert new.pop("llama.rope.dimension_count") == tiny_model.WIDTH // tiny_model.HEADS
    assert not new


def package_metadata(directory, out):
    """What the gguf package's own classes make of the directory."""
    total = sum(int(np.prod(tensor.shape)) for tensor in gguf.GGUFReader(out).tensors)
    writer = gguf.GGUFWriter(None, "any")
    gguf.Metadata.load(None, directory, None, total).set_gguf_meta_model(writer)
    gguf.SpecialVocab(directory, load_merges=True).add_to_gguf(writer, quiet=True)
    values = {key: entry.value for key, entry in writer.kv_data[0].items()}
    return {key: value for key, value in values.items() if key != "general.architecture"}


def check_package_agrees(stonechat, directory, out):
    converted(stonechat, directory, out)
    ours = {key: value for key, (_, value) in fields(out).items()}
    theirs = package_metadata(directory, out)
    theirs.setdefault("general.size_label", ours["general.size_label"])  # the converter adds it, not the package
    for key, value in theirs.items():
        assert key in ours, key
        expected = float(np.float32(value)) if isinstance(value, float) else value
        found = ours[key]
        assert (sorted(found) == sorted(expected) if key == "tokenizer.chat_templates" else found == expected), key
    mine = {
        key for key in ours
        if key.startswith(("general.", "tokenizer.chat")) or key.endswith("_token_id") or "add_" in key
    } - {"general.architecture", "general.type", "general.file_type", "general.quantization_version",
         "tokenizer.ggml.add_space_prefix"}
    assert mine - set(theirs) == set()


NAMES = [
    "HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/smollm2-135M-8k-lc100k-mix1-ep2", "Qwen/Qwen2.5-0.5B-Instruct",
    "Qwen2.5-Coder-0.5B-Instruct-AWQ", "meta-llama/Llama-3.2-1B", "someone/my-model", "x", "a model of mine", "bloom-7b1",
    "org/phi-2-v1.5-chat-fp16", "mixtral-8x7B-v0.1", "tiny-small-30K-lora", "/home/me/models/x", "./here", "A14B-mini-3b",
    "-7b--instruct-", "model-0_5b-Q4_K_M", "iter3-1.5T", "UPPER-lower-Mixed-9", "v2", "thing-large", "7B-first",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_what_the_package_says(stonechat, directory, tmp_path, name):
    publisher.edit_json(directory / "config.json", lambda config: config.update(_name_or_path=name))
    check_package_agrees(stonechat, directory, tmp_path / "out.gguf")


@pytest.mark.parametrize("name", ["SmolLM2-135M-Instruct", "tiny", "Foo-30K-Bar-v2", "with space"])
def test_names_of_directories(stonechat, models, tmp_path, name):
    publisher.write(tmp_path / name, models["qwen2"])
    check_package_agrees(stonechat, tmp_path / name, tmp_path / "out.gguf")
    result = stonechat("convert", "./", tmp_path / "dot.gguf", "--to", "f32", cwd=tmp_path / name)
    assert result.returncode == 0
    assert (tmp_path / "dot.gguf").read_bytes() == (tmp_path / "out.gguf").read_bytes()


BOS, EOS = "<|endoftext|>", "<|im_end|>"


def template(single, pair=None):
    def items(text):
        return [
            {"Sequence": {"id": word, "type_id": 0}} if word in ("A", "B") else {"SpecialToken": {"id": word, "type_id": 0}}
            for word in text.split()
        ]

    return {"type": "TemplateProcessing", "single": items(single), "pair": items(pair or f"{single} B"), "special_tokens": {}}


def both(*processors):
    return {"type": "Sequence", "processors": [publisher.byte_level(False), *processors]}


SPECIAL = {
    "plain": {},
    "no_config": {"config": None},
    "no_config_but_template": {"config": None, "post": template(f"{BOS} A")},
    "tokens_as_objects": {"config": {"eos_token": {"content": EOS, "special": True}, "pad_token": {"content": BOS}}},
    "unknown_text": {"config": {"eos_token": "<|nothing|>", "pad_token": None}},
    "adds_both": {"config": {"add_bos_token": True, "add_eos_token": True}},
    "flags_of_no_kind": {"config": {"add_bos_token": "yes", "add_eos_token": 1}},
    "sep_and_cls": {"config": {"bos_token": None, "eos_token": None, "cls_token": "<|im_start|>", "sep_token": EOS}},
    "mask_and_unk": {"config": {"mask_token": "<|im_start|>", "unk_token": BOS}},
    "llama3": {"config": {"add_bos_token": None}, "post": both(template(f"{BOS} A", f"{BOS} A {BOS} B"))},
    "template_alone": {"config": {"add_bos_token": None}, "post": template(f"{BOS} A", f"{BOS} A B")},
    "other_first": {"config": {"add_bos_token": None}, "post": template("<|im_start|> A")},
    "first_and_last": {"config": {"add_bos_token": None}, "post": template(f"{BOS} A {EOS}", f"{BOS} A {EOS} B {EOS}")},
    "last_is_another": {"config": {"add_bos_token": None}, "post": template(f"A {BOS}", f"A {BOS} B {BOS}")},
    "separated": {"config": {}, "post": template(f"{BOS} A", f"{BOS} A {EOS} B")},
    "separated_twice": {"config": {"sep_token": "<|im_start|>"}, "post": template(f"{BOS} A", f"{BOS} A {EOS} <|im_start|> B")},
    "templates": {"config": {"chat_template": [
        {"name": "default", "template": "d"}, {"name": "tool use", "template": "t"}, {"name": "rag", "template": "r"},
        {"name": "", "template": "n"}, {"name": "empty"}]}},
    "templates_without_default": {"config": {"chat_template": [{"name": "rag", "template": "r"}]}},
    "no_template": {"config": {"chat_template": None}},
    "jinja": {"config": {"chat_template": None}, "jinja": "{{ messages }}\n"},
    "jinja_beside_template": {"jinja": "{{ other }}"},
    "template_json": {"config": {"chat_template": None}, "chat_json": {"chat_template": "from json"}},
    "ids_of_config": {"config": {"bos_token": None, "eos_token": None}, "ids": {"eos_token_id": 5, "pad_token_id": 7}},
    "list_of_ids": {"config": {"eos_token": None}, "ids": {"eos_token_id": [5, 6]}},
    "sampling": {"generation": {"top_k": 20, "top_p": 0.8, "temperature": 0.7, "repetition_penalty": 1.1, "min_p": 0.05,
                                "penalty_repeat": 1.2, "mirostat": 0, "eos_token_id": [1, 2], "do_sample": True}},
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_tokens_are_those_of_the_package(stonechat, directory, tmp_path, name):
    case = SPECIAL[name]
    if case.get("config", {}) is None:
        (directory / "tokenizer_config.json").unlink()
    else:
        def change(config):
            for key, value in case.get("config", {}).items():
                config[key] = value
                if value is None:  # absent and null mean the same to us, and the package takes null for a template
                    del config[key]
        publisher.edit_json(directory / "tokenizer_config.json", change)
    publisher.edit_json(directory / "config.json", lambda config: config.update(case.get("ids", {})))
    if "post" in case:
        publisher.edit_json(directory / "tokenizer.json", lambda value: value.update(post_processor=case["post"]))
    if "jinja" in case:
        (directory / "chat_template.jinja").write_text(case["jinja"])
    if "chat_json" in case:
        publisher.write_json(directory / "chat_template.json", case["chat_json"])
    if "generation" in case:
        publisher.write_json(directory / "generation_config.json", case["generation"])
    check_package_agrees(stonechat, directory, tmp_path / "out.gguf")


CARDS = {
    "as_qwen_writes": """---
license: apache-2.0
license_link: https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct/blob/main/LICENSE
language:
- en
pipeline_tag: text-generation
base_model: Qwen/Qwen2.5-0.5B
tags:
- chat
library_name: transformers
---

# Qwen2.5-0.5B-Instruct
license: not this
""",
    "as_smollm_writes": """---
library_name: transformers
license: apache-2.0
language:
- en
pipeline_tag: text-generation
tags:
- safetensors
- onnx
- transformers.js
base_model:
- HuggingFaceTB/SmolLM2-135M
---
""",
    "other_forms": """---
# a comment
license: [mit, "apache-2.0"]   # two
license_name: 'my licence'
languages: [en, de]
language:
  - no
  - "fr"
tags: one
datasets:
  - org/data-set-v2
  - https://huggingface.co/datasets/org/x
  - https://huggingface.co/org/Some-7B-Instruct
  - a set of mine
base_model:
model-index:
  - name: x
    results:
      - task:
          type: text
pipeline_tag: text-generation
---
""",
    "no_head": "# A model\n\n---\nlicense: mit\n---\n",
    "head_without_end": "---\nlicense: mit\ntags:\n- a\n",
    "empty_head": "---\n---\n",
    "empty": "",
}


@pytest.mark.parametrize("name", CARDS)
def test_model_cards_mean_what_the_package_says(stonechat, directory, tmp_path, name):
    (directory / "README.md").write_text(CARDS[name])
    check_package_agrees(stonechat, directory, tmp_path / "out.gguf")


def test_bytes_that_are_no_utf8_become_text(stonechat, models, tmp_path):
    directory = tmp_path / os.fsdecode(b"na\xffme")
    publisher.write(directory, models["llama"])
    (directory / "README.md").write_bytes(b"---\nlicense: m\xfft\n---\n")
    values = fields(converted(stonechat, directory, tmp_path / "out.gguf"))
    assert values["general.license"][1] == "m\ufffdt" and "\ufffd" in values["general.name"][1].lower()


def test_model_cards_of_other_forms_are_no_error(stonechat, directory, tmp_path):
    before = converted(stonechat, directory, tmp_path / "before.gguf").read_bytes()
    for text in (b"---\nlicense: {a: b}\ntags: |\n  x\nlanguage: &x [a\ndatasets: 'x\n- : - ---\n\xff\x00: ]\n",
                 b"---", b"---\n" + b"- " * 100000, b"---\n" + b"tags: [" * 1000):
        (directory / "README.md").write_bytes(text)
        assert converted(stonechat, directory, tmp_path / "out.gguf").read_bytes() == before


def test_rotation_of_llama_3(stonechat, directory, tmp_path):
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}
    publisher.edit_json(directory / "config.json", lambda config: config.update(rope_scaling=scaling, rope_theta=500000.0))
    out = converted(stonechat, directory, tmp_path / "out.gguf", "f16")
    found = floats(tensors(out)["rope_freqs.weight"])
    width = tiny_model.WIDTH // tiny_model.HEADS
    waves = 2 * math.pi * 500000.0 ** (np.arange(0, width, 2) / width)
    smooth = np.clip((8192 / waves - 1) / 3, 0, 1)
    expected = 1 / ((1 - smooth) / 32 + smooth)
    assert found.shape == (width // 2,) and {found.min(), found.max()} == {1, 32}
    assert ((found > 1) & (found < 32)).any()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert stonechat("run", out, "the", "-n", 2).returncode == 0


@pytest.mark.parametrize("where", ["rope_scaling", "rope_parameters"])
def test_other_rotations(stonechat, directory, tmp_path, where):
    def metadata(scaling):
        changes = {"rope_theta": 5000.0, "rope_scaling": scaling}
        if where == "rope_parameters":  # of transformers 5
            changes = {"rope_parameters": {**scaling, "rope_theta": 5000.0}, "rope_theta": None, "rope_scaling": None}
        publisher.edit_json(directory / "config.json", lambda config: config.update(changes))
        values = fields(converted(stonechat, directory, tmp_path / "out.gguf"))
        return {key.removeprefix("llama.rope."): value[1] for key, value in values.items() if ".rope." in key}

    same = {"freq_base": 5000, "dimension_count": 32}
    assert metadata({"rope_type": "default"}) == same
    assert metadata({"type": "linear", "factor": 2.0}) == {**same, "scaling.type": "linear", "scaling.factor": 2}
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, "beta_fast": 32, "attn_factor": 1.5}
    assert metadata(yarn) == {
        **same, "scaling.type": "yarn", "scaling.factor": 4, "scaling.original_context_length": 32768,
        "scaling.yarn_beta_fast": 32, "scaling.yarn_attn_factor": 1.5,
    }


def test_width_of_heads(stonechat, models, tmp_path):
    publisher.write(tmp_path / "in", models["qwen2"], config_changes={"head_dim": 32})
    values = fields(converted(stonechat, tmp_path / "in", tmp_path / "out.gguf"))
    assert values["qwen2.attention.key_length"] == values["qwen2.attention.value_length"] == (["UINT32"], 32)


# Whole vocabularies and models


def tokenizers_agree(stonechat, directory, out):
    theirs = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    ours = stonechat("tokenize", out, TEXT, "--json", "--special")
    assert json.loads(ours.stdout)["tokens"] == theirs.encode(TEXT, add_special_tokens=False).ids


def write_with_vocabulary(folder, name, values):
    """A small model of one layer with the metadata of another."""
    arch = values["general.architecture"]
    directory = folder / name
    directory.mkdir()
    small = {f"{arch}.embedding_length": 32, f"{arch}.feed_forward_length": 32, f"{arch}.block_count": 1,
             f"{arch}.attention.head_count": 1, f"{arch}.attention.head_count_kv": 1}
    publisher.write_json(directory / "config.json", publisher.config({**values, **small}))
    publisher.write_json(directory / "tokenizer.json", publisher.tokenizer(values))
    publisher.write_json(directory / "tokenizer_config.json", publisher.tokenizer_config(values))
    random = np.random.default_rng(2)
    size = len(values["tokenizer.ggml.tokens"])
    shapes = {"model.embed_tokens.weight": (size, 32), "model.norm.weight": (32,)}
    for kind, published in publisher.LAYER_NAMES.items():
        shapes[f"model.layers.0.{published}.weight"] = (32,) if kind.endswith("norm") else (32, 32)
        if arch == "qwen2" and kind in ("attn_q", "attn_k", "attn_v"):
            shapes[f"model.layers.0.{published}.bias"] = (32,)
    entries = [(name, random.standard_normal(shape).astype(np.float32)) for name, shape in shapes.items()]
    publisher.write_safetensors(directory / "model.safetensors", entries, lambda _: "BF16")
    return directory, set(small)


def test_merges_of_older_tools(stonechat, models, tmp_path):
    outs = []
    for pairs in (True, False):
        publisher.write(tmp_path / str(pairs) / "Tiny", models["qwen2"], pairs=pairs)
        outs.append(converted(stonechat, tmp_path / str(pairs) / "Tiny", tmp_path / f"{pairs}.gguf"))
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.slow_model
def test_vocabulary_of_the_reference(stonechat, reference, tmp_path):
    original = publisher.fields_of_large(reference)
    values = {key: value for key, (_, value) in original.items()}
    directory, small = write_with_vocabulary(tmp_path, "Qwen2.5-Coder-0.5B-Instruct-AWQ", values)
    publisher.edit_json(directory / "tokenizer_config.json", lambda config: config.update(bos_token=None))
    out = converted(stonechat, directory, tmp_path / "out.gguf", "bf16")
    before, after = original, publisher.fields_of_large(out)
    # The size in the name is far from that of this small model, and so no size here.
    other = {"general.file_type", "general.size_label", "general.finetune"} | small
    for key, value in before.items():
        assert key in after and (key in other or after[key] == value), key
    assert set(after) == set(before)
    tokenizers_agree(stonechat, directory, out)


@pytest.fixture(scope="module")
def published_smollm2(smollm2_files, tmp_path_factory):
    """SmolLM2-135M-Instruct as its publisher gives it, from our F32 file."""
    directory = tmp_path_factory.mktemp("published") / "SmolLM2-135M-Instruct"
    name = "HuggingFaceTB/smollm2-135M-8k-lc100k-mix1-ep2"  # as in the published config.json
    publisher.write(directory, smollm2_files[0], kind="F16", shards=2, special_in_vocabulary=True,
                    config_changes={"_name_or_path": name})
    # Its head when the GGUF file was made.
    (directory / "README.md").write_text("---\nlibrary_name: transformers\nlicense: apache-2.0\nlanguage:\n- en\n---\n")
    return directory


def peak_kib(command, *arguments):
    process = subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            lines = open(f"/proc/{process.pid}/status").read().splitlines()
            peak = max(peak, int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]))
        except (OSError, StopIteration):
            pass
        time.sleep(0.002)
    assert process.returncode == 0
    return peak


@pytest.mark.slow_model
def test_smollm2_comes_back(stonechat, command, smollm2, smollm2_files, published_smollm2, tmp_path):
    out = tmp_path / "out.gguf"
    assert 10_000 < peak_kib(command, "convert", published_smollm2, out, "--to", "f16") < 300e6 / 1024
    reader = gguf.GGUFReader(out)  # takes seconds
    original, result = tensors(smollm2_files[0]), {tensor.name: tensor for tensor in reader.tensors}
    assert list(original) == list(result)  # in the order of the usual converter too
    for name, tensor in original.items():
        expected = floats(tensor).astype(np.float16)
        found = result[name].data
        assert found.dtype == (np.float16 if expected.ndim > 1 else np.float32)
        assert np.array_equal(found.astype(np.float16).view(np.uint16), expected.view(np.uint16)), name
    before, after = fields(smollm2), fields(reader)
    for key, value in before.items():
        assert key == "general.file_type" or after[key] == value, key
    assert set(before) == set(after)
    tokenizers_agree(stonechat, published_smollm2, out)


# Refusals and failures


def refused(stonechat, directory, out):
    result = stonechat("convert", directory, out, "--to", "f32", check=False)
    assert result.returncode == 1 and result.stderr.startswith("stonechat: ") and not out.exists()
    return result.stderr


def test_what_is_missing_is_named(stonechat, directory, tmp_path):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        content = (directory / name).read_bytes()
        (directory / name).unlink()
        assert name in refused(stonechat, directory, tmp_path / "out.gguf")
        (directory / name).write_bytes(content)


def test_shard_that_is_missing(stonechat, models, tmp_path):
    publisher.write(tmp_path / "in", models["qwen2"], shards=3)
    (tmp_path / "in/model-00002-of-00003.safetensors").unlink()
    assert "model-00002-of-00003.safetensors" in refused(stonechat, tmp_path / "in", tmp_path / "out.gguf")


def test_values_that_are_not_finite(stonechat, models, tmp_path):
    def change(entries):
        for name, values in entries:
            if name == "model.layers.1.mlp.up_proj.weight":
                values[3, 5] = np.inf
        return entries

    publisher.write(tmp_path / "in", models["qwen2"], change=change)
    message = refused(stonechat, tmp_path / "in", tmp_path / "out.gguf")
    assert "blk.1.ffn_up.weight" in message and "finite" in message


def test_output_that_is_an_input(stonechat, directory, tmp_path):
    (tmp_path / "link").symlink_to(directory / "model.safetensors")
    for out in (directory / "model.safetensors", directory / "config.json", directory / "tokenizer.json", tmp_path / "link"):
        before = out.read_bytes()
        for command in (["convert", "--to", "f32"], ["quantize", "--type", "q8_0"]):
            result = stonechat(command[0], directory, out, *command[1:], check=False)
            assert result.returncode == 2 and "the output is the input" in result.stderr
        assert out.read_bytes() == before


def test_other_commands_say_what_to_do(stonechat, directory):
    for command in (["run", directory, "x"], ["inspect", directory], ["pack", directory, "x.gguf"]):
        result = stonechat(*command, check=False)
        assert result.returncode == 1 and "stonechat convert" in result.stderr


def test_write_that_fails_leaves_the_old_file(stonechat, directory, tmp_path):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"old")
    result = stonechat("convert", directory, out, "--to", "f32", check=False, preexec_fn=limit_file_size)
    assert result.returncode == 1 and "out.gguf: cannot write" in result.stderr
    assert out.read_bytes() == b"old" and {path.name for path in tmp_path.iterdir()} == {"out.gguf", directory.name}


@pytest.mark.slow_model
def test_disk_too_small_is_told_before_any_work(stonechat, published_smollm2, tiny_disk):
    result = stonechat("convert", published_smollm2, tiny_disk / "out.gguf", "--to", "f16", check=False)
    assert result.returncode == 1 and "MiB free" in result.stderr
    assert list(tiny_disk.iterdir()) == []


@pytest.mark.slow_model
@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_interrupted_leaves_the_old_file(command, published_smollm2, tmp_path, how, code):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"old")
    process = subprocess.Popen(
        [*command, "convert", str(published_smollm2), str(out), "--to", "f32"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    while not any(target.startswith(str(tmp_path)) for target in open_files(process.pid)):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(how)
    process.communicate()
    assert process.returncode == code
    assert out.read_bytes() == b"old" and [path.name for path in tmp_path.glob("*.gguf")] == ["out.gguf"]


def open_files(process):
    try:
        return [os.readlink(entry.path) for entry in os.scandir(f"/proc/{process}/fd")]
    except OSError:
        return []


# The hub


@pytest.fixture
def hub(models, tmp_path):
    server = Hub()
    publisher.write(tmp_path / "files", models["llama"], shards=2)
    for path in (tmp_path / "files").iterdir():
        server.files[f"someone/Tiny-Llama/{path.name}"] = path.read_bytes()
    server.files["someone/Tiny-Llama/onnx/model.safetensors"] = b"not this"
    server.files["someone/Tiny-Llama/pytorch_model.bin"] = b"nor this"
    yield server
    server.close()


@pytest.fixture
def hub_environment(hub, tmp_path):
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "", "HF_HUB_CACHE": "",
            "HF_HUB_OFFLINE": "", "no_proxy": "*"}


def test_repository_without_gguf_is_converted(stonechat, hub, hub_environment, models, tmp_path):
    out = tmp_path / "out.gguf"
    stonechat("convert", "hf:someone/Tiny-Llama", out, "--to", "f32", env=hub_environment)
    assert fields(out)["general.name"][1] == "Tiny Llama"  # not the commit, which names the directory
    expected = tensors(models["llama"])
    assert {name: floats(tensor).tobytes() for name, tensor in tensors(out).items()} == {
        name: floats(tensor).tobytes() for name, tensor in expected.items()}
    fetched = {path.rsplit("/", 1)[1] for path, _ in hub.gets() if "/resolve/" in path}
    assert fetched == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json",
                       "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
    # Again, from the cache: by the snapshot's path, and while the hub is out of reach.
    directory = stonechat("pull", "hf:someone/Tiny-Llama", env=hub_environment).stdout.strip()
    assert directory.endswith(f"models--someone--Tiny-Llama/snapshots/{hub.commit}")
    again = converted(stonechat, directory, tmp_path / "again.gguf")
    assert again.read_bytes() == out.read_bytes()
    for changes in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:1"}):
        again.unlink()
        stonechat("convert", "hf:someone/Tiny-Llama", again, "--to", "f32", env={**hub_environment, **changes})
        assert again.read_bytes() == out.read_bytes()


def test_repository_without_gguf_does_not_run(stonechat, hub, hub_environment):
    result = stonechat("run", "hf:someone/Tiny-Llama", "x", env=hub_environment, check=False)
    assert result.returncode == 2 and "stonechat convert hf:someone/Tiny-Llama" in result.stderr
    assert not [path for path, _ in hub.gets() if "/resolve/" in path]


def test_repository_without_any_model(stonechat, hub, hub_environment, tmp_path):
    hub.files["someone/texts/README.md"] = b"x"
    result = stonechat("convert", "hf:someone/texts", tmp_path / "o", "--to", "f32", env=hub_environment, check=False)
    assert result.returncode == 2 and "no .gguf file and no model.safetensors" in result.stderr
