from pathlib import Path

import pytest

from anabranch.agents import adapters
from anabranch.agents.adapters import adapter_folder, model_and_adapter
from anabranch.errors import ConfigurationError
from anabranch.options import LOCAL_MODEL


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that comes with one adapter."""
    folder = tmp_path / "anabranch" / "adapters" / "decomposer-135m"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    monkeypatch.setattr(adapters, "FOLDER", folder.parent)
    return folder


def test_the_shipped_adapter_is_worn_in_its_role(shipped: Path) -> None:
    assert adapter_folder("decomposer", LOCAL_MODEL) == shipped
    assert adapter_folder("solver", LOCAL_MODEL) is None


def test_the_package_comes_with_both() -> None:
    for role in adapters.SHIPPED:
        folder = adapter_folder(role, LOCAL_MODEL)
        assert folder is not None
        assert (folder / "adapter_model.safetensors").stat().st_size <= 30_000_000
        assert "## Scores" in (folder / "README.md").read_text()


def test_one_to_serve_is_a_distribution_of_its_own() -> None:
    folder = adapters.shipped_adapter("decomposer-1.5b")
    assert folder is not None
    assert (folder / "adapter_model.safetensors").stat().st_size <= 40_000_000
    assert "## Scores" in (folder / "README.md").read_text()


def test_another_base_model_wears_none(shipped: Path) -> None:
    assert adapter_folder("decomposer", "some/other-model") is None


def test_none_takes_it_off(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_LOCAL_ADAPTER", "none")
    assert adapter_folder("decomposer", LOCAL_MODEL) is None


def test_a_folder_can_be_named_for_any_base(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "adapter_config.json").write_text("{}")
    monkeypatch.setenv("ANABRANCH_LOCAL_SOLVER_ADAPTER", str(own))
    assert adapter_folder("solver", "some/other-model") == own


def test_a_folder_without_an_adapter_is_the_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_LOCAL_ADAPTER", str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match="holds no adapter"):
        adapter_folder("decomposer", LOCAL_MODEL)


def test_an_adapter_alone_brings_its_base_model() -> None:
    base, folder = model_and_adapter("decomposer-1.5b")
    assert base == "Qwen/Qwen2.5-Coder-1.5B-Instruct"
    assert folder == adapters.shipped_adapter("decomposer-1.5b") is not None
    assert model_and_adapter(str(folder)) == (base, folder)


def test_a_model_with_an_adapter(tmp_path: Path) -> None:
    folder = adapters.shipped_adapter("decomposer-1.5b")
    for model in ("Qwen/Qwen2.5-Coder-1.5B-Instruct", "models/c++/qwen.gguf"):
        assert model_and_adapter(f"{model}+decomposer-1.5b") == (model, folder)
        assert model_and_adapter(f"{model}+{folder}") == (model, folder)
    with pytest.raises(ConfigurationError, match="holds no adapter"):
        model_and_adapter("some/model+nothing")
    with pytest.raises(ConfigurationError, match="names no model before"):
        model_and_adapter("+decomposer-1.5b")


def test_the_one_to_serve_is_told_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "shipped_adapter", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"or pip install anabranch-decomposer-1\.5b"):
        model_and_adapter("some/model+decomposer-1.5b")


def test_a_model_alone(tmp_path: Path) -> None:
    odd = tmp_path / "a+b.gguf"
    odd.touch()
    for model in (LOCAL_MODEL, str(odd), ""):
        assert model_and_adapter(model) == (model, None)


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"base_model_name_or_path": null}'])
def test_an_adapter_that_does_not_say_its_base(tmp_path: Path, config: str) -> None:
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(ConfigurationError, match=r"name both: MODEL\+ADAPTER"):
        model_and_adapter(str(tmp_path))
