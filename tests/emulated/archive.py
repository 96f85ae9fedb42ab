# SPDX-License-Identifier: Apache-2.0
"""Debian packages of any release and architecture, beside this machine's own and never among them."""

import os
import re
import subprocess
import time
from pathlib import Path

RELEASES = ("bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid")
"""Those that have kernels; of a package that several have, the newest is taken."""

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LISTS_LAST_S = 24 * 3600.0


class ArchiveError(Exception):
    """Packages cannot be had; the message is one line for the user."""


class Archive:
    """The packages of one architecture, by an apt of its own: configuration, lists and state."""

    def __init__(self, folder: Path, architecture: str) -> None:
        """Prepare the folder; nothing is fetched until it is asked for.

        :param architecture: as Debian names it: arm64, amd64
        """
        self._folder = folder
        self._architecture = architecture

    def names(self) -> list[str]:
        """Return the names of all packages.

        :raises ArchiveError: the package lists cannot be had
        """
        self._update()
        return self._apt("apt-cache", "pkgnames").split()

    def fetch(self, packages: list[str], into: Path) -> list[Path]:
        """Download the newest versions of packages, without what they depend on.

        :raises ArchiveError: one of them does not exist, or cannot be downloaded
        """
        self._update()
        into.mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "download", "-qq", *packages, folder=into)
        return sorted(into.glob("*.deb"))

    def fetch_with_dependencies(self, packages: list[str], release: str, into: Path) -> list[Path]:
        """Download packages of one release with all that they need, down to the C library.

        :raises ArchiveError: one of them does not exist, or cannot be downloaded
        """
        self._update()
        (into / "partial").mkdir(parents=True, exist_ok=True)
        options = (
            "-o",
            f"Dir::Cache::archives={into}",
            "--no-install-recommends",
            "--target-release",
            release,
        )
        self._apt("apt-get", "install", "-qq", "--yes", "--download-only", *options, *packages)
        return sorted(into.glob("*.deb"))

    def _update(self) -> None:
        """Fetch the package lists, unless that was done within a day."""
        stamp = self._folder / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_LAST_S:
            return
        for part in ("lists/partial", "cache/archives/partial"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        mirror = _mirror()
        sources = [
            f"deb [arch={self._architecture} signed-by={_KEYRING}] {mirror} {release} main\n"
            for release in RELEASES
        ]
        (self._folder / "sources.list").write_text("".join(sources))
        (self._folder / "apt.conf").write_text(self._configuration())
        self._apt("apt-get", "update", "-qq")
        stamp.touch()

    def _configuration(self) -> str:
        settings = {
            "Dir::State": self._folder,
            "Dir::State::lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache",
            "Dir::Etc::sourcelist": self._folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Architecture": self._architecture,
            "APT::Architectures": self._architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        return "".join(f'{name} "{value}";\n' for name, value in settings.items())

    def _apt(self, *command: str, folder: Path | None = None) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self._folder / "apt.conf")}
        return run(command, folder=folder, environment=environment)


def unpack(packages: list[Path], into: Path) -> None:
    """Unpack packages over one another. Nothing in them is run."""
    into.mkdir(parents=True, exist_ok=True)
    for package in packages:
        run(("dpkg-deb", "--extract", str(package), str(into)))


def run(
    command: tuple[str, ...], *, folder: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """Run a command and return what it prints.

    :raises ArchiveError: it failed, with the last line that it said
    """
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise ArchiveError(f"{' '.join(command[:2])} failed: {said}")
    return done.stdout


def _mirror() -> str:
    """The mirror from which this machine has its own packages."""
    targets = ("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)")
    for line in run((*targets, "Created-By: Packages")).splitlines():
        found = re.fullmatch(r"Debian [a-z]+ (\S+)", line)
        if found:
            return found[1]
    raise ArchiveError("this machine's apt has no Debian mirror, from which the kernels would come")
