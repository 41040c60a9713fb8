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
    """Says what is wrong, where, and what to do. It is shown to the user unchanged."""


def say(message: str) -> None:
    """Print progress to standard error, so that programs can read standard output."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def phase(title: str) -> Iterator[None]:
    """A step with a title before it, and the time it took after it."""
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
            # In its own session, which Ctrl-C does not reach.
            start_new_session=to_the_end,
        )
    except FileNotFoundError as error:
        raise LabError(f"The program {words[0]!r} could not be started: {error}.") from error
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise LabError(f"No result after {timeout:g} s from: {shlex.join(words)}") from error
        except KeyboardInterrupt:
            if to_the_end:
                process.communicate(timeout=timeout)
            process.kill()
            raise
    result = subprocess.CompletedProcess(words, process.returncode, out, err)
    if check and result.returncode != 0:
        raise LabError(f"Exit code {result.returncode} from: {shlex.join(words)}\n{complaint(result)}")
    return result


def unmount_below(*places: Path) -> list[Path]:
    """Undo mounts below these folders, as of an image whose making was interrupted, and return all mount points before that."""
    mounted = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted(mounted, reverse=True):
        if any(place in point.parents for place in places):
            run(["umount", "--lazy", point], check=False)
    return mounted


def remove_others(kept: Path) -> None:
    """Remove the other folders beside one that is named after its recipe."""
    for other in kept.parent.glob("*"):
        if other != kept:
            run(["rm", "-rf", "--one-file-system", other])


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    return (result.stderr or result.stdout).strip() or "(no output)"


def python_behind(program: str | Path) -> Path | None:
    """The Python that a program runs, or None. A version manager's wrapper may exist without a Python behind it."""
    told = run([program, "-c", "import sys; print(sys.executable)"], check=False)
    return Path(told.stdout.strip()) if told.returncode == 0 else None


def stream(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, to_stderr: bool = False
) -> int:
    """Run a command with its output shown at once, and return its exit code."""
    process = subprocess.Popen(
        # If this program is killed, the kernel ends the child too. Nothing must go on changing nodes unseen.
        ["setpriv", "--pdeathsig", "TERM", "--", *(str(word) for word in argv)],
        env=None if env is None else dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if to_stderr else None,
    )
    try:
        return process.wait()
    except BaseException:
        # Ctrl-C reached the child too. Let it clean up, then force it.
        try:
            process.wait(timeout=15)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
        raise


def forget_previous_boot() -> None:
    """Remove state of an earlier boot: on some machines, /run is an ordinary directory that survives a reboot."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    paths.STATE.mkdir(mode=0o755, exist_ok=True)
    if paths.BOOT_ID.exists() and paths.BOOT_ID.read_text().strip() != boot_id:
        run(["rm", "-rf", paths.PODMAN_RUN, paths.PODMAN_TMP, paths.CONTROL_SOCKETS])
    paths.BOOT_ID.write_text(boot_id + "\n")
    paths.CONTROL_SOCKETS.mkdir(mode=0o700, exist_ok=True)


def try_lock(file: IO[str]) -> bool:
    """Lock an open file, unless it is locked already. The lock ends when the file is closed or the process ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def lock(verb: str) -> Iterator[None]:
    """One lab per machine, one change at a time. A child of the lock's holder (Molecule) uses the same lock."""
    forget_previous_boot()
    with paths.LOCK.open("a+") as file:
        if not try_lock(file):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            if os.environ.get(LOCK_VARIABLE) == holder.split()[0]:
                yield
                return
            raise LabError(
                f"Another lab command is running on this machine: pid {holder}.\n"
                "Wait until it has ended, or stop it, then run this again."
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
