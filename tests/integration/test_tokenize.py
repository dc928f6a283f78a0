"""Token ids against the tokenizers package."""
import json
import random
import time

import pytest
from reference_tokenizer import reference_tokenizer

SEED = 20261124
ENGLISH = (
    "The keeper's lamp burned all night; nobody's ship was lost. It's 1984, isn't it? We'll see, they've said -- I'D "
    "SAY SO, YOU'RE RIGHT. Prices: $12.50, 3,000,000 and 0x7fff. E-mail: a.b+c@example.org (really?!)  \n\n\tNext line\r\n"
).split(" ")
CHINESE = "北京是中国的首都，人口超过两千万。他说：“今天天气很好！”我们去长城吧。量化模型的精度损失很小；速度提高了三倍。"
CODE = [
    "int main() {\n    return 0;\n}\n", "def f(x):\n\treturn x**2  # square\n", "for (auto& [k, v] : map) {}\n",
    "SELECT * FROM t WHERE a >= 10;\n", "<div class=\"x\">&nbsp;</div>\n", "    \t  \n", "::std::vector<uint8_t>",
]
OTHERS = (
    "🙂👩‍👩‍👧‍👦🇫🇷 éàü ñ ß İstanbul ſ'S Ǆ Привет мир مرحبا שלום हिन्दी ไทย 한국어 日本語テキスト ½ ² Ⅷ ٣٤٥ e\u0301\u0327 "
    "a\u200bb \u00a0\u2003\u3000 \u2028 \ufeff \x00\x01\x1b[0m\x7f …—–“”’ ∑∂√ 𝔘𝔫𝔦 \U0010ffff"
).split(" ")


def mixed_text(characters):
    """Words of all kinds in random order, with random runs of spaces, digits and letters between."""
    draw = random.Random(SEED)
    parts, length = [], 0
    while length < characters:
        kind = draw.randrange(8)
        if kind < 3:
            part = draw.choice(ENGLISH) + " "
        elif kind == 3:
            start = draw.randrange(len(CHINESE))
            part = CHINESE[start : start + draw.randrange(1, 20)]
        elif kind == 4:
            part = draw.choice(CODE)
        elif kind == 5:
            part = draw.choice(OTHERS) + draw.choice(["", " "])
        elif kind == 6:
            part = draw.choice([" ", "\n", "\t", "\r\n", "\u3000", "'", "7"]) * draw.randrange(1, 9)
        else:
            part = "".join(draw.choices("etaoinshrdlu'S T0129.,_-", k=draw.randrange(1, 30)))
        parts.append(part)
        length += len(part)
    return "".join(parts)


@pytest.fixture(scope="session")
def big_text():
    text = mixed_text(4_000_000)
    assert len(text.encode()) > 5_000_000
    return text


def our_ids(stonechat, model, path, *flags):
    return json.loads(stonechat("tokenize", model, "--file", path, "--json", *flags).stdout)["tokens"]


@pytest.mark.slow_model
@pytest.mark.parametrize("model", ["smollm2", "reference"])
def test_ids_equal_on_five_megabytes(request, stonechat, big_text, tmp_path, model):
    path = request.getfixturevalue(model)
    file = tmp_path / "text.txt"
    file.write_bytes(big_text.encode())
    ours = our_ids(stonechat, path, file)
    tokenizer = reference_tokenizer(path)
    theirs = tokenizer.encode(big_text).ids
    if ours != theirs:
        first = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
        around = slice(max(0, first - 5), first + 5)
        pytest.fail(
            f"seed {SEED}, token {first}: ours {[tokenizer.id_to_token(i) for i in ours[around]]}, "
            f"theirs {[tokenizer.id_to_token(i) for i in theirs[around]]}"
        )


@pytest.mark.aarch64
def test_ids_equal_on_some_text(stonechat, smollm2, tmp_path):
    text = mixed_text(20_000)
    file = tmp_path / "text.txt"
    file.write_bytes(text.encode())
    assert our_ids(stonechat, smollm2, file) == reference_tokenizer(smollm2).encode(text).ids


@pytest.mark.parametrize("pre", ["gpt-2", "llama-bpe", "qwen2", "smollm"])
def test_every_pre_tokenizer(stonechat, tmp_path, pre):
    import tiny_model

    model, file = tmp_path / "model.gguf", tmp_path / "text.txt"
    tiny_model.write(model, arch="llama")
    data = model.read_bytes()
    # The made-up model says smollm; a name of another length moves what follows, so the file is written again.
    import gguf

    original = gguf.GGUFWriter.add_tokenizer_pre
    gguf.GGUFWriter.add_tokenizer_pre = lambda self, _: original(self, pre)
    try:
        tiny_model.write(model, arch="llama")
    finally:
        gguf.GGUFWriter.add_tokenizer_pre = original
    assert pre == "smollm" or model.read_bytes() != data
    text = mixed_text(60_000)
    file.write_bytes(text.encode())
    assert our_ids(stonechat, model, file) == reference_tokenizer(model).encode(text).ids


def test_special_tokens_only_where_asked(stonechat, smollm2, tmp_path):
    text = "<|im_start|>user\nHello<|im_end|>\n<|endoftext|><|im_start"
    file = tmp_path / "text.txt"
    file.write_text(text)
    assert our_ids(stonechat, smollm2, file) == reference_tokenizer(smollm2).encode(text).ids
    assert our_ids(stonechat, smollm2, file, "--special") == reference_tokenizer(smollm2, special=True).encode(text).ids


@pytest.mark.parametrize(
    "data",
    [bytes(range(256)) * 3, b"\xff\xfe\xe4\xb8", "日本".encode()[:-1] + b"x", b"\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf", b""],
)
def test_bytes_come_back(stonechat, reference, tmp_path, data):
    file = tmp_path / "data.bin"
    file.write_bytes(data)
    ids = our_ids(stonechat, reference, file)
    back = stonechat("tokenize", reference, "--detokenize", " ".join(map(str, ids)), text=False)
    assert back.stdout == data


@pytest.mark.parametrize(
    "data", [b"a" * 1_000_000, b" " * 1_000_000, "\u0301".encode() * 500_000, b"\xff" * 1_000_000, b"\n " * 500_000,
             b"1" * 1_000_000, b"'" * 1_000_000, b"<|im_start|" * 90_000]
)
@pytest.mark.slow_model
@pytest.mark.parametrize("model", ["smollm2", "reference"])
def test_no_input_is_slow(request, stonechat, tmp_path, data, model):
    path = request.getfixturevalue(model)
    file = tmp_path / "data.bin"
    file.write_bytes(data)
    start = time.time()
    stonechat("tokenize", path, "--file", file, "--json", "--special")
    # Loading and printing included; quadratic time would take minutes.
    assert time.time() - start < 10


def test_text_output_shows_ids_and_pieces(stonechat, smollm2):
    lines = stonechat("tokenize", smollm2, "Hello\n world").stdout.splitlines()
    assert lines == ['19556\t"Hello"', '198\t"\\n"', '905\t" world"']
    assert stonechat("tokenize", smollm2, "Hello", "--ids").stdout == "19556\n"


@pytest.mark.parametrize("ids, word", [("1 x", "'x'"), ("99999999", "outside"), ("-4", "'-4'")])
def test_detokenize_wrong_ids(stonechat, smollm2, ids, word):
    result = stonechat("tokenize", smollm2, "--detokenize", "--", ids, check=False)
    assert result.returncode == 2 and word in result.stderr
