"""The supervisor over a real process: a small HTTP server that misbehaves on demand."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from anabranch.errors import BackendError
from anabranch.serving.supervisor import Patience, Program, Supervisor, Work
from tests.ports import free_port

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

SERVER = """
import http.server, os, subprocess, sys, threading, time
port, child = int(sys.argv[1]), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("Loading things", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        if self.path == "/die": os._exit(7)
        if self.path == "/sick": Handler.status = 503
        if self.path == "/stuck": Handler.stuck = True
        if self.path == "/busy": Handler.stuck = Handler.busy = True
        if self.path == "/metrics":
            Handler.tokens += Handler.busy
            self.send_response(200); self.end_headers()
            return self.wfile.write(b'tokens_total %d' % Handler.tokens)
        self.send_response(Handler.status); self.end_headers(); self.wfile.write(str(child.pid).encode())
    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        if Handler.stuck: time.sleep(600)
        self.send_response(200 if asked == b'{"prompt": "1"}' else 500); self.end_headers()
Handler.status, Handler.stuck, Handler.busy, Handler.tokens = 200, False, False, 0
print("Opening the port", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
QUICK = Patience(start=60, stop=5, unhealthy=0.5, every=0.1, steady=0, first_pause=0.05)
PHASES = {"Loading": "loading", "Opening": "opening"}


def ended(pid: int) -> bool:
    """Whether a process ends within seconds; one that nobody has asked how it ended counts as ended."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        deadline = time.monotonic() + 10
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
    return True


class Running:
    """A supervisor at work, in the main thread of the test; what the test does runs in another."""

    def __init__(self, tmp_path: Path, script: str = SERVER, patience: Patience = QUICK) -> None:
        self.port = free_port()
        command = [sys.executable, "-c", script, str(self.port)]
        address = f"http://127.0.0.1:{self.port}"
        self.program = Program("it", command, f"{address}/health", tmp_path / "log", phases=PHASES)
        self.said: list[str] = []
        self.pids: list[int] = []
        self.children: set[int] = set()
        self.supervisor = Supervisor(self.program, patience, say=self.said.append, ready=self.pids.append)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
            return str(response.read().decode())

    def child(self) -> int:
        """The process that the server has started, of the server that answers now."""
        self.children.add(int(self.get("/health")))
        return max(self.children)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"said {self.said}"
            time.sleep(0.02)

    def during(self, body: Callable[[], None], *, ends_with: int | None = signal.SIGTERM) -> None:
        """Runs the supervisor, and beside it `body`, after which it gets a signal."""
        failures: list[BaseException] = []

        def beside() -> None:
            try:
                body()
            except BaseException as error:
                failures.append(error)
            if ends_with is not None or failures:
                os.kill(os.getpid(), ends_with or signal.SIGTERM)

        self.program.log.touch()
        thread = threading.Thread(target=beside)
        thread.start()
        try:
            self.supervisor.run()
        finally:
            thread.join()
            if failures:
                raise failures[0]

    def nothing_left(self) -> bool:
        return all(ended(pid) for pid in (*self.pids, *self.children))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    yield (found := Running(tmp_path))
    for pid in (*found.pids, *found.children):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_it_tells_how_the_start_goes_and_ends_with_all_children(running: Running) -> None:
    def body() -> None:
        running.until(lambda: bool(running.pids))
        running.child()

    running.during(body)
    assert running.said[0] == "starting it"
    assert running.said[-1] == "starting it: opening"
    assert running.nothing_left()


def test_ctrl_c_is_passed_on(running: Running) -> None:
    with pytest.raises(KeyboardInterrupt):
        running.during(lambda: running.until(lambda: bool(running.pids)), ends_with=signal.SIGINT)
    assert running.nothing_left()


@pytest.mark.parametrize("kill", ["the process", "itself"])
def test_a_crash_is_followed_by_a_new_start(running: Running, kill: str) -> None:
    def body() -> None:
        for times in (1, 2, 3, 4):  # more often than crashes at once are borne: it was up long enough each time
            running.until(lambda wanted=times: len(running.pids) == wanted)  # type: ignore[misc]
            running.child()
            if times == 4:
                return
            if kill == "the process":
                os.kill(running.pids[-1], signal.SIGKILL)
            else:
                with suppress(OSError):
                    running.get("/die")

    running.during(body)
    code = -9 if kill == "the process" else 7
    assert running.said.count(f"it ended (exit code {code}); starting it again in 0.05 s") == 3
    assert running.nothing_left()


@pytest.mark.parametrize("dies", ["the first", "another"])
def test_processes_that_work_together_are_started_and_ended_together(running: Running, dies: str) -> None:
    pids = running.program.log.with_name("pids")
    script = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    program = replace(running.program, beside=[[sys.executable, "-c", script]] * 2)
    running.supervisor = Supervisor(program, QUICK, say=running.said.append, ready=running.pids.append)

    def beside() -> list[int]:
        return [int(line) for line in pids.read_text().split()] if pids.exists() else []

    def body() -> None:
        running.until(lambda: len(running.pids) == 1 and len(beside()) == 2)
        running.child()
        os.kill(running.pids[0] if dies == "the first" else beside()[0], signal.SIGKILL)
        running.until(lambda: len(running.pids) == 2 and len(beside()) == 4)
        assert all(ended(pid) for pid in (running.pids[0], *beside()[:2]))
        running.child()

    running.during(body)
    assert "it ended (exit code -9); starting it again in 0.05 s" in running.said
    assert running.nothing_left()
    assert all(ended(pid) for pid in beside())


def test_a_process_that_gives_no_sign_of_life_is_started_again(running: Running) -> None:
    def body() -> None:
        running.until(lambda: bool(running.pids))
        running.child()
        with suppress(OSError):
            running.get("/sick")
        running.until(lambda: len(running.pids) == 2)
        running.child()

    running.during(body)
    assert "it gave no sign of life for 0.5 s; starting it again in 0.05 s" in running.said
    assert running.nothing_left()


def given_work(running: Running) -> None:
    address = f"http://127.0.0.1:{running.port}"
    work = Work(f"{address}/work", {"prompt": "1"}, counters=f"{address}/metrics", counter="tokens")
    running.supervisor.program = replace(running.program, work=work)


def test_a_process_that_answers_but_does_no_work_is_started_again(running: Running) -> None:
    """As vLLM does when its engine is stopped or stuck: its front end goes on to say that all is well."""
    given_work(running)

    def body() -> None:
        running.until(lambda: bool(running.pids))
        running.child()
        running.get("/stuck")
        running.until(lambda: len(running.pids) == 2)
        running.child()
        time.sleep(1)  # the new one works, and is left alone

    running.during(body)
    assert running.said.count("it gave no sign of life for 0.5 s; starting it again in 0.05 s") == 1
    assert running.nothing_left()


def test_a_process_that_is_busy_with_others_is_left_alone(running: Running) -> None:
    given_work(running)

    def body() -> None:
        running.until(lambda: bool(running.pids))
        running.child()
        running.get("/busy")
        time.sleep(2)

    running.during(body)
    assert len(running.pids) == 1
    assert running.nothing_left()


def test_a_process_that_crashes_at_once_is_given_up(tmp_path: Path) -> None:
    script = "import sys; print('one'); print('no memory'); sys.exit(1)"
    running = Running(tmp_path, script, Patience(start=30, first_pause=0.05, steady=60))
    with pytest.raises(BackendError, match=r"it ended while starting \(exit code 1\), and it crashed 3 times in a row"):
        running.during(lambda: None, ends_with=None)
    assert [text for text in running.said if "again" in text] == [
        "it ended while starting (exit code 1); starting it again in 0.05 s",
        "it ended while starting (exit code 1); starting it again in 0.1 s",
    ]
    assert running.said[-2:] == ["  one", "  no memory"]
    assert running.program.log.read_text().count("no memory") == 3


def test_a_command_line_that_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    running = Running(tmp_path, "import sys; print('unknown option --x'); sys.exit(2)")
    with pytest.raises(BackendError, match="its command line was refused"):
        running.during(lambda: None, ends_with=None)
    assert running.said.count("starting it") == 1


def test_a_process_that_never_answers_is_given_up(tmp_path: Path) -> None:
    patience = Patience(start=0.3, stop=2, crashes=1)
    running = Running(tmp_path, "import time; time.sleep(600)", patience)
    with pytest.raises(BackendError, match=r"it was not up after 0\.3 s"):
        running.during(lambda: None, ends_with=None)


def test_a_process_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
    running = Running(tmp_path, deaf, Patience(stop=0.3))

    def body() -> None:
        running.until(lambda: bool(running.pids))
        running.child()

    running.during(body)
    assert running.nothing_left()


def test_a_command_that_cannot_be_run(tmp_path: Path) -> None:
    program = Program("it", [str(tmp_path / "no-such-python")], "http://127.0.0.1:1", tmp_path / "log")
    with pytest.raises(BackendError, match="cannot be started"):
        Supervisor(program, say=lambda _: None, ready=lambda _: None).run()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is of Linux")
def test_nothing_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    port = free_port()
    script = f"""
import sys
from pathlib import Path
from anabranch.serving.supervisor import Program, Supervisor
command = [sys.executable, "-c", {SERVER!r}, "{port}"]
program = Program("it", command, "http://127.0.0.1:{port}/", Path({str(tmp_path / "log")!r}))
Supervisor(program, say=lambda _: None, ready=lambda pid: print(pid, flush=True)).run()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.kill()
    assert ended(pid)
