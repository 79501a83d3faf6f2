"""A PostgreSQL server of the tests' own, as Debian's package `postgresql` brings it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class Server:
    """A server in a folder, with its socket there.

    Attributes:
        address: of its database, for a user who needs a password.
    """

    def __init__(self, folder: Path) -> None:
        found = shutil.which("initdb")
        if not (found or PLACES):
            pytest.skip("there is no PostgreSQL here; install it with: apt-get install postgresql")
        self._bin = Path(found).resolve().parent if found else PLACES[-1]
        self._folder = folder
        self.address = f"postgresql://tester:s3cret@/postgres?host={folder}"
        # It refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        folder.mkdir(parents=True)
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        password = folder / "password"
        password.write_text("s3cret")
        password.chmod(0o644)
        data = folder / "data"
        self._run("initdb", "-D", str(data), "-U", "tester", "--pwfile", str(password), "-A", "scram-sha-256", "-N")

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = f"-c listen_addresses= -c fsync=off -k {self._folder}"
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-l", f"{self._folder}/log", "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stops it at once, without waiting for clients."""
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        # A server that inherits a pipe would keep it open.
        with (self._folder / "output").open("ab") as output:
            subprocess.run(
                [self._bin / program, *arguments],
                check=True,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                cwd=self._folder,
                stdout=output,
                stderr=output,
                timeout=60,
            )


@contextmanager
def postgres() -> Iterator[Server]:
    """A server that runs; its folder is readable by the user it runs as."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder) / "server")
        server.start()
        try:
            yield server
        finally:
            server.stop()
