"""From settings to tools."""

from pathlib import Path

import pytest

from anabranch.errors import ConfigurationError
from anabranch.graphs.build import build_tools
from anabranch.options import PlannerSettings


def test_documents_are_searched_by_the_embeddings_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "leave.md").write_text("Everyone has 26 days of annual leave.")
    (tmp_path / "canteen.md").write_text("Lunch is served from 11:30.")
    told: list[str] = []

    def search(embeddings: str | None) -> str:
        settings = PlannerSettings(docs=(f"handbook={tmp_path / 'leave.md'}",), tool=("none",), embeddings=embeddings)
        (tool,) = build_tools(settings, status=told.append, note=told.append)
        return str(tool.invoke("vacation"))

    assert "26 days" in search("static")
    assert list((tmp_path / "cache" / "documents").rglob("vectors-*.npy"))
    assert told == ["reading documents"]
    with pytest.raises(ConfigurationError, match="unknown embeddings 'words'; use static, http"):
        search("words")
