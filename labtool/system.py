"""Running commands, talking to the user, and the machine-wide lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from labtool import paths

LOCK_VARIABLE = "MAILCLUSTER_LAB_LOCK_PID"


class LabError(Exception):
    """What is wrong, where, and what to do about it; shown to the user as it is."""


def say(message: str) -> None:
    """Progress goes to standard error, so that standard output stays parseable."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def phase(title: str) -> Iterator[None]:
    """A headed step, closed with the time it took."""
    say(f"\n=== {title}")
    begin = time.monotonic()
    yield
    say(f"=== {title}: done in {time.monotonic() - begin:.1f} s")


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    to_the_end: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command, its output captured; a failure is a LabError that shows it.

    With to_the_end, Ctrl-C takes effect only after it: for what must not stop half-way.
    """
    words = [str(word) for word in argv]
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=None if env is None else dict(env),
            cwd=cwd,
            # Out of the terminal's reach.
            start_new_session=to_the_end,
        )
    except FileNotFoundError as error:
        raise LabError(f"The program {words[0]!r} is missing: {error}.") from error
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise LabError(f"No answer after {timeout:g} s from: {shlex.join(words)}") from error
        except KeyboardInterrupt:
            if to_the_end:
                process.communicate(timeout=timeout)
            process.kill()
            raise
    result = subprocess.CompletedProcess(words, process.returncode, out, err)
    if check and result.returncode != 0:
        raise LabError(f"Exit code {result.returncode} from: {shlex.join(words)}\n{complaint(result)}")
    return result


def remove_others(kept: Path) -> None:
    """What is beside a folder that is made once and named after its recipe."""
    for other in kept.parent.glob("*"):
        if other != kept:
            run(["rm", "-rf", "--one-file-system", other])


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    return (result.stderr or result.stdout).strip() or "(it printed nothing)"


def python_behind(program: str | Path) -> Path | None:
    """The Python that I(program) runs, or None: a version manager's stand-ins are found, but fail."""
    told = run([program, "-c", "import sys; print(sys.executable)"], check=False)
    return Path(told.stdout.strip()) if told.returncode == 0 else None


def stream(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, to_stderr: bool = False
) -> int:
    """Run a command whose output the user sees as it comes; returns its exit code."""
    process = subprocess.Popen(
        # When this program is killed, the kernel ends the child, so that nothing keeps changing nodes unseen.
        ["setpriv", "--pdeathsig", "TERM", "--", *(str(word) for word in argv)],
        env=None if env is None else dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if to_stderr else None,
    )
    try:
        return process.wait()
    except BaseException:
        # Ctrl-C reached the child as well: let it clean up, then insist.
        try:
            process.wait(timeout=15)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
        raise


def forget_previous_boot() -> None:
    """/run is a plain directory on some machines: what an earlier boot left there is not true any more."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    paths.STATE.mkdir(mode=0o755, exist_ok=True)
    if paths.BOOT_ID.exists() and paths.BOOT_ID.read_text().strip() != boot_id:
        run(["rm", "-rf", paths.PODMAN_RUN, paths.PODMAN_TMP, paths.CONTROL_SOCKETS])
    paths.BOOT_ID.write_text(boot_id + "\n")
    paths.CONTROL_SOCKETS.mkdir(mode=0o700, exist_ok=True)


def try_lock(file: IO[str]) -> bool:
    """Take the kernel's lock of an open file, unless somebody has it; it ends with the file, or the process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def lock(verb: str) -> Iterator[None]:
    """One lab a machine, one change at a time. A child of the lock's holder (molecule) runs under that lock."""
    forget_previous_boot()
    with paths.LOCK.open("a+") as file:
        if not try_lock(file):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            if os.environ.get(LOCK_VARIABLE) == holder.split()[0]:
                yield
                return
            raise LabError(
                f"Another lab command is at work on this machine: pid {holder}.\n"
                "Wait until it has ended, or end it, then run this again."
            )
        file.truncate(0)
        file.write(f"{os.getpid()} (./lab {verb} of {paths.ROOT})\n")
        file.flush()
        os.environ[LOCK_VARIABLE] = str(os.getpid())
        try:
            yield
        finally:
            del os.environ[LOCK_VARIABLE]
            file.truncate(0)
