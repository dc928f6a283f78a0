"""What the end-to-end tests share: the program as a user runs it, and models.

STONECHAT_BINARY names the program (default: build/dev/stonechat), STONECHAT_RUNNER a program to run it with
(qemu-aarch64). Models come from the catalog into ~/.cache/stonechat, so later runs need no network.
"""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))

import tiny_model as tiny  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow_model: runs a whole model; left out under the sanitizers")
    config.addinivalue_line("markers", "long: the longest, so started first where tests run side by side")
    config.addinivalue_line("markers", "threads: a short run worth watching with ThreadSanitizer")
    config.addinivalue_line("markers", "aarch64: quick enough for qemu")
    _share_processors()


def _share_processors():
    """Side by side (pytest -n), each process of tests keeps to processors of its own, and so do the programs that it
    starts: they take as many threads as they have processors, and threads that wait for each other at barriers are
    slow where others run between them."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    processors = sorted(os.sched_getaffinity(0))
    if 1 < workers <= len(processors):
        os.sched_setaffinity(0, processors[int(os.environ["PYTEST_XDIST_WORKER"][2:]) :: workers])


def pytest_collection_modifyitems(items):
    files = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in files)
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def binary():
    path = pathlib.Path(os.environ.get("STONECHAT_BINARY", ROOT / "build/dev/stonechat"))
    assert path.exists(), f"{path}: not built"
    return path


@pytest.fixture(scope="session")
def command(binary):
    """The words that start the program."""
    return [*os.environ.get("STONECHAT_RUNNER", "").split(), str(binary)]


def _runner(command):
    def run(*arguments, input=None, env=None, check=True, timeout=280, text=True, **more):
        words = [*command, *map(str, arguments)]
        environment = {**os.environ, **(env or {})}
        if input is None:
            more.setdefault("stdin", subprocess.DEVNULL)
        result = subprocess.run(
            words, input=input, env=environment, capture_output=True, text=text, timeout=timeout, **more
        )
        if check:
            assert result.returncode == 0, f"{words}: exit {result.returncode}\n{result.stderr}"
        return result

    return run


@pytest.fixture(scope="session")
def stonechat(command):
    """Runs the program: stonechat("inspect", path) -> CompletedProcess. `check`: it must succeed."""
    return _runner(command)


@pytest.fixture
def own_stonechat(command, tmp_path):
    """The same from a copy of the program, whose pages in memory no other test shares."""
    return _runner([*command[:-1], shutil.copy(command[-1], tmp_path / "stonechat")])


@pytest.fixture(scope="session")
def smollm2(stonechat):
    """SmolLM2-135M-Instruct as Q4_1 GGUF."""
    return pathlib.Path(stonechat("pull", "smollm2-135m").stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def reference(stonechat):
    """Qwen2.5-Coder-0.5B-Instruct as Q4_K_M GGUF."""
    return pathlib.Path(stonechat("pull", "qwen2.5-coder-0.5b").stdout.splitlines()[-1])


def _derived(stonechat, tmp_path_factory, name, model, *convert_flags):
    """(F32, Q8_0) files of a model, made by the first of the processes of tests that wants them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    f32, q8 = folder / "f32.gguf", folder / "q8_0.gguf"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not q8.exists():  # written last, and under its name when it is whole
            stonechat("convert", model, f32, "--to", "f32", *convert_flags)
            stonechat("quantize", f32, q8, "--type", "q8_0")
    return f32, q8


@pytest.fixture(scope="session")
def smollm2_files(stonechat, smollm2, tmp_path_factory):
    """(F32, Q8_0) files of smollm2."""
    return _derived(stonechat, tmp_path_factory, "smollm2", smollm2)


@pytest.fixture(scope="session")
def reference_files(stonechat, reference, tmp_path_factory):
    """(F32, Q8_0) files of the reference, embeddings tied."""
    return _derived(stonechat, tmp_path_factory, "reference", reference, "--tie-embeddings")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A made-up model of two small layers whose tokens are bytes and a few words: runs everywhere in no time."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    tiny.write(path)
    return path


@pytest.fixture(scope="session")
def shared_data():
    """Evaluation texts that may not be copied into the repository."""
    path = ROOT.parent / "shared/data"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    return path


@pytest.fixture
def tiny_disk(tmp_path):
    """A filesystem of 1 MiB, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)
