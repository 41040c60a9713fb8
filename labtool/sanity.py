"""ansible-test sanity. It runs on a copy, because it needs a path that ends in ansible_collections/mailcluster/dovecot."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from labtool import paths
from labtool.system import python_behind, run, stream

# Kept between runs, because ansible-test takes longer to build its virtual environments than to run the tests.
HOME = paths.LAB / "sanity-home"

# ansible-test downloads pip's installer from a site of its own, which many networks block. Python comes with pip.
GET_PIP = """\
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip", "--upgrade"])
words = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *words]))
"""

# Not part of the collection, so they may use a newer Python than its modules. Ruff checks these.
NOT_SHIPPED = ("benchmarks/", "labtool/", "molecule/", ".ci/")


def check(environment: dict[str, str]) -> bool:
    prepare_home(Path(environment.get("HOME", "/root")))
    with tempfile.TemporaryDirectory(prefix="mailcluster-sanity-") as folder:
        copy = Path(folder) / "ansible_collections" / "mailcluster" / "dovecot"
        copy_sources(copy)
        command = [str(paths.VENV / "bin" / "ansible-test"), "sanity", "--local", "--color", "no"]
        # Without ansible.cfg and inventory: only the collection is tested.
        settings = {name: value for name, value in environment.items() if not name.startswith("ANSIBLE_")}
        path = f"{paths.VENV / 'bin'}:{link_pythons()}:/usr/bin:/bin"
        return stream(command, env=settings | {"HOME": str(HOME), "PATH": path}, cwd=copy) == 0


def copy_sources(target: Path) -> None:
    """Copy what git tracks or would track, and make the copy a repository."""
    listed = run(["git", "-C", paths.ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
    for name in listed.split("\0"):
        source = paths.ROOT / name
        if name and source.is_file() and not name.startswith(NOT_SHIPPED):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", "-C", target, *words], check=True)


def prepare_home(real: Path) -> None:
    """Make a separate home, so that nobody's ~/.ansible is changed. pip's settings still apply."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in (".config", ".pip", ".netrc"):
        link = HOME / name
        if (real / name).exists() and not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(real / name)
    for version in pip_versions():
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP)


def pip_versions() -> set[str]:
    """The versions of pip whose installer this ansible-test may download."""
    package = find_spec("ansible_test")
    assert package is not None and package.submodule_search_locations is not None
    source = Path(package.submodule_search_locations[0]) / "_internal" / "python_requirements.py"
    return set(re.findall(r"\bpip='([\d.]+)'", source.read_text()))


def link_pythons() -> Path:
    """A folder with links to the Pythons that work."""
    folder = HOME / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for minor in range(8, 15):
        found = shutil.which(f"python3.{minor}")
        if found and (python := python_behind(found)):
            (folder / f"python3.{minor}").symlink_to(python)
    return folder
