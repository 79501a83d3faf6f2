"""The records of an evaluation in a few small files, to bring them from the machine that made them."""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = re.compile(r"cache\.sqlite.*|report\.html|requests\.jsonl|.*\.part")
PART_BYTES = 10_000_000
"""A part is ended after the run with which it gets larger than this."""


def write(root: Path) -> list[Path]:
    """Writes `ROOT.tgz`, `ROOT.2.tgz`, ... of a group's runs, without kept replies and pages.

    Args:
        root: folder of a group; each folder in it is a run.
    """
    written: list[Path] = []
    for number, runs in enumerate(_parts(root), 1):
        path = root.with_name(f"{root.name}.tgz" if number == 1 else f"{root.name}.{number}.tgz")
        path.write_bytes(runs)
        written.append(path)
    return written


def _parts(root: Path) -> Iterator[bytes]:
    runs = sorted(path for path in root.iterdir() if path.is_dir())
    while runs:
        buffer, seen = io.BytesIO(), dict[str, str]()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
            while runs and buffer.tell() <= PART_BYTES:
                run = runs.pop(0)
                for file in sorted(run.iterdir()):
                    if file.is_file() and not LEFT_OUT.fullmatch(file.name):
                        _add(archive, file, f"{root.name}/{run.name}/{file.name}", seen)
        yield buffer.getvalue()


def _add(archive: tarfile.TarFile, file: Path, name: str, seen: dict[str, str]) -> None:
    """Adds a file; one that was added before becomes a link to it (the questions of many runs are the same)."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if seen.setdefault(digest, name) == name:
        archive.add(file, name)
        return
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.LNKTYPE, seen[digest]
    archive.addfile(link)


def unpack(folder: Path) -> Path:
    """The folder that holds the runs as `GROUP/RUN/report.json`; archives are unpacked where there are none."""
    archives = sorted(folder.glob("**/*.tgz"))
    if not archives or list(folder.glob("*/*/report.json")):
        return folder
    root = folder / "unpacked"
    for path in archives:
        with tarfile.open(path) as archive:
            archive.extractall(root, filter="data")
    return root
