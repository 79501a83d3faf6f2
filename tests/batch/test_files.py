"""JSON lines as they come, files that are added to, and what a batch brings back."""

import gzip
import json
from pathlib import Path

import pytest

from anabranch.batch.files import Answered, LineFile, json_lines, read_jsonl, read_requests, write_requests
from anabranch.errors import DocumentError, StorageError


def test_lines_of_all_kinds_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"a": 1}\n\n"\xe2\x80\xa8"\n{oops\n' + b"x" * 900 + b'\n"\\ud800"\n[' + b"[" * 99_999
    )
    lines = list(json_lines(path, most=200))
    assert [(line.number, line.value) for line in lines] == [
        (1, {"a": 1}),
        (3, "\u2028"),
        (4, None),
        (5, None),
        (6, "\ufffd"),
        (7, None),
    ]
    assert lines[2].problem == "not JSON: '{oops'"
    assert lines[3].problem == lines[5].problem == "longer than 200 characters; shorten it"
    assert list(json_lines(path))[-1].problem.startswith("not JSON: '[[[")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'{"a": "\xe9"}\n')
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 999)[:-9])
    (tmp_path / "plain.gz").write_bytes(b"{}")
    for name in ("latin", "cut.gz", "plain.gz", "missing"):
        with pytest.raises(DocumentError, match=f"{name} cannot be read"):
            list(read_jsonl(tmp_path / name))
    (tmp_path / "good.gz").write_bytes(gzip.compress(b'{"a": 1}\n[]\n'))
    rows = read_jsonl(tmp_path / "good.gz")
    assert next(rows) == {"a": 1}
    with pytest.raises(DocumentError, match="line 2 is not a JSON object: it is of type list"):
        next(rows)


@pytest.mark.parametrize(("left", "kept"), [('{"n": 1}\n{"n', 1), ('{"n": 1}\n{"n": 2}', 2), ("", 0), ("{", 0)])
def test_a_line_that_a_killed_run_has_written_half_is_taken_away(tmp_path: Path, left: str, kept: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(left)
    with LineFile(path) as file:
        file.add(json.dumps({"n": 3}))
    assert [row["n"] for row in read_jsonl(path)] == [*range(1, kept + 1), 3]


def test_a_folder_is_no_file_to_add_to(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        LineFile(tmp_path)


def test_what_a_batch_brings_back() -> None:
    completion = {"choices": [{"message": {"content": "a"}}]}
    good = Answered("1", 200, completion)
    assert Answered.of(json.loads(good.line())) == good
    refused = Answered.of(
        {"custom_id": "2", "response": {"status_code": 400, "body": None}, "error": {"message": "long"}}
    )
    assert (refused.error, refused.refused) == ({"message": "long"}, True)
    away = Answered.of({"custom_id": "3", "response": {"status_code": 503, "body": "<html>"}})
    assert (away.error, away.refused) == ("<html>", False)
    assert Answered.of({"custom_id": "4", "response": {"status_code": 200, "body": {}}}).error == "no choices"
    assert Answered.of({"custom_id": "5"}).status == 0


def test_requests_are_what_vllm_and_openai_take(tmp_path: Path) -> None:
    path, body = tmp_path / "r.jsonl", {"model": "m", "messages": []}
    assert write_requests(path, [("a", body)]) == 1
    assert list(read_jsonl(path)) == [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body},
    ]
    assert read_requests(path, {}) == {"a": body}
    assert path.stat().st_mode & 0o077 == 0
