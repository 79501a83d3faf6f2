from pathlib import Path

import pytest

from anabranch.agents.local.header import read_header
from anabranch.errors import ModelUnavailableError
from tests.agents.local.tiny import CHATML, SPECIAL, write_tiny


def test_what_a_file_says_is_what_the_package_gguf_reads(tmp_path: Path) -> None:
    import gguf

    path = write_tiny(tmp_path / "tiny.gguf", context=300)
    header, theirs = read_header(path), gguf.GGUFReader(path)
    assert header.context == 300
    assert header.values["tokenizer.chat_template"] == CHATML
    assert list(header.special.values()) == SPECIAL
    assert (header.token("bos"), header.token("eos"), header.token("padding")) == ("<|endoftext|>", "<|im_end|>", "")
    assert not header.adds_bos
    assert header.data == theirs.data_offset
    found = [(t.name, t.shape, t.kind, header.data + t.offset) for t in header.tensors]
    assert found == [(t.name, tuple(t.shape), t.tensor_type, t.data_offset) for t in theirs.tensors]
    assert header.parameters == sum(int(tensor.n_elements) for tensor in theirs.tensors)


def test_files_that_are_no_gguf(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with pytest.raises(ModelUnavailableError, match=r"cannot read .*No such file.*check the name"):
        read_header(path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ModelUnavailableError, match=r"is not a GGUF file; give one"):
        read_header(path)
    path.write_bytes(b"GGUF\x01\x00\x00\x00" + bytes(100))
    with pytest.raises(ModelUnavailableError, match=r"version 1 of GGUF, not 2 or 3"):
        read_header(path)


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.05, 0.1, 0.3])
def test_a_file_that_is_cut_off(tmp_path: Path, share: float) -> None:
    path = write_tiny(tmp_path / "tiny.gguf")
    data = path.read_bytes()
    path.write_bytes(data[: max(int(len(data) * share), 6)])
    with pytest.raises(ModelUnavailableError, match=r"is cut off or damaged; download or write it again"):
        read_header(path)
