"""`stonechat eval ... --data hf:datasets/...` against a local server."""
import json

import pytest
from hub_server import Hub

NAME = "datasets/someone/piqa-export/data/validation.jsonl"
LINES = [
    {"goal": "Dry it", "sol1": "in the inn", "sol2": "the sea", "label": 0},
    {"goal": "Shut it", "sol1": "and the door", "sol2": "in", "label": 1},
]
TEXT = "".join(json.dumps(line) + "\n" for line in LINES).encode()


@pytest.fixture
def hub():
    server = Hub()
    server.files[NAME] = TEXT
    yield server
    server.close()


@pytest.fixture
def evaluate(stonechat, hub, tiny_model, tmp_path):
    def run(data, *flags, check=True, **environment):
        settings = {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "", "HF_HUB_CACHE": "", "HF_HUB_OFFLINE": "",
            "no_proxy": "*", **environment,
        }
        return stonechat("eval", "piqa", tiny_model, "--data", data, "--json", *flags, check=check, env=settings)

    return run


def test_a_data_set_is_fetched_once(evaluate, hub, tmp_path):
    result = json.loads(evaluate("hf:" + NAME).stdout)
    assert result["questions"] == 2 and result["data"] == "hf:" + NAME
    assert [path for path, _ in hub.gets()] == ["/datasets/someone/piqa-export/resolve/main/data/validation.jsonl"]
    cached = tmp_path / "home/hub/datasets--someone--piqa-export/snapshots" / hub.commit / "data/validation.jsonl"
    assert cached.read_bytes() == TEXT
    local = json.loads(evaluate(cached).stdout)
    again = json.loads(evaluate("hf:" + NAME, HF_HUB_OFFLINE="1").stdout)
    assert len(hub.gets()) == 1
    assert local["acc"] == again["acc"] == result["acc"]


def test_shots_can_come_from_there(evaluate, hub, tmp_path):
    hub.files["datasets/someone/piqa-export/train.csv"] = b"goal,sol1,sol2,label\nWet it,rain,sand,0\n"
    samples = tmp_path / "s.jsonl"
    evaluate("hf:" + NAME, "--shots-file", "hf:datasets/someone/piqa-export/train.csv", "--shots", "1", "--samples-out", samples)
    first = json.loads(samples.read_text().splitlines()[0])
    assert first["prompt"] == "Question: Wet it\nAnswer: rain\n\nQuestion: Dry it\nAnswer:"


@pytest.mark.parametrize(
    "data, code, expected",
    [
        ("hf:datasets/someone/piqa-export/other.jsonl", 1, "not found (404)"),
        ("hf:datasets/someone/piqa-export/train.parquet", 2, "Parquet is not read"),
        ("validation.parquet", 2, "Parquet is not read"),
        ("hf:datasets/someone/piqa-export", 2, "expected hf:datasets/OWNER/REPO/FILE"),
        ("hf:someone/piqa-export/x.jsonl", 2, "expected hf:datasets/OWNER/REPO/FILE"),
        ("hf:datasets/someone/../x/y.jsonl", 2, "expected OWNER/REPO"),
        ("hf:datasets/someone/piqa-export/../x.jsonl", 2, "expected the name of a file"),
    ],
)
def test_what_cannot_be_had(evaluate, data, code, expected):
    result = evaluate(data, check=False)
    assert result.returncode == code and expected in result.stderr, result.stderr


def test_a_changed_file_is_noticed(evaluate, hub):
    hub.wrong_etag = "0" * 64
    result = evaluate("hf:" + NAME, check=False)
    assert result.returncode == 1 and "expected SHA-256" in result.stderr
