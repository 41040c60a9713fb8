# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The built-in check of a staged Dovecot configuration: what doveconf sees, and what it does not see.

doveconf (2.3) reports syntax, unknown settings and bad values with file and line. It accepts a plugin that is not
installed, a certificate that does not belong to its key, a protocol whose program is missing and a service of a user
that does not exist; Dovecot then refuses to start, or refuses its users. Parsing is pure; `check` does the reading.
"""

from __future__ import annotations

import grp
import os
import posixpath
import pwd
import re

MAIN = "/etc/dovecot/dovecot.conf"
PLUGIN_DIR = "/usr/lib/dovecot/modules"
LIBEXEC_DIR = "/usr/lib/dovecot"
FILTERS = ("protocol", "remote", "local", "local_name")
PAIRS = (("ssl_cert", "ssl_key"), ("ssl_alt_cert", "ssl_alt_key"))
KEY_PASSWORD = "MAILCLUSTER_KEY_PASSWORD"

# Which Debian package brings what is missing.
PLUGIN_PACKAGES = {
    "antispam": "dovecot-antispam",
    "fts_lucene": "dovecot-lucene",
    "fts_solr": "dovecot-solr",
    "fts_xapian": "dovecot-fts-xapian",
    "fts_flatcurve": "dovecot-fts-flatcurve",
    "imap_acl": "dovecot-imapd",
    "imap_filter_sieve": "dovecot-sieve",
    "imap_quota": "dovecot-imapd",
    "imap_sieve": "dovecot-sieve",
    "imap_zlib": "dovecot-imapd",
    "sieve": "dovecot-sieve",
    "sieve_extprograms": "dovecot-sieve",
    "sieve_imapsieve": "dovecot-sieve",
}
PROTOCOLS = {
    "imap": (("imap", "imap-login"), "dovecot-imapd"),
    "imaps": (("imap", "imap-login"), "dovecot-imapd"),
    "pop3": (("pop3", "pop3-login"), "dovecot-pop3d"),
    "pop3s": (("pop3", "pop3-login"), "dovecot-pop3d"),
    "lmtp": (("lmtp",), "dovecot-lmtpd"),
    "sieve": (("managesieve", "managesieve-login"), "dovecot-managesieved"),
    "submission": (("submission", "submission-login"), "dovecot-submissiond"),
}


class Problem:
    """One thing that is wrong. path, line: where it is written, if known. absent: something the host lacks."""

    def __init__(self, message, path=None, line=None, absent=False):
        self.message = message
        self.path = path
        self.line = line
        self.absent = absent

    def __repr__(self):
        return "Problem(%r, %r, %r)" % (self.message, self.path, self.line)


# --- what doveconf prints


class Section:
    """A block of `doveconf -n`: kind and name (`protocol imap`), settings, blocks inside."""

    def __init__(self, kind="", name="", parent=None):
        self.kind = kind
        self.name = name
        self.parent = parent
        self.settings = {}
        self.sections = []

    def walk(self):
        yield self
        for section in self.sections:
            yield from section.walk()

    def filters(self):
        """This and all nested blocks in which every setting may stand: protocol, local, remote..."""
        yield self
        for section in self.sections:
            if section.kind in FILTERS:
                yield from section.filters()

    def effective(self, setting, default=""):
        """The value in force here: of this block or of the nearest one around it."""
        section = self
        while section is not None:
            if setting in section.settings:
                return section.settings[setting]
            section = section.parent
        return default

    @property
    def title(self):
        names = []
        section = self
        while section is not None and section.kind:
            names.insert(0, (section.kind + " " + section.name).strip())
            section = section.parent
        return " / ".join(names)

    def where(self, setting):
        return "%s of %s" % (setting, self.title) if self.title else setting


def unquote(value):
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        quote = value[0]
        return re.sub(r"\\([\\%s])" % quote, r"\1", value[1:-1])
    return value


def parse(text):
    """`doveconf -nP` -> Section. Lines that mean nothing to it are skipped."""
    here = root = Section()
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if line == "}":
            here = here.parent or root
        elif line.endswith("{") and (not equals or not re.match(r"[\w/:.-]+\s*$", name)):
            kind, dummy, rest = line[:-1].strip().partition(" ")
            section = Section(kind, unquote(rest), here)
            here.sections.append(section)
            here = section
        elif equals:
            here.settings[name.strip()] = unquote(value)
    return root


# Warnings of doveconf that mean that a setting does not do what it says.
WITHOUT_EFFECT = re.compile(
    r"Warning: (?:(?P<path>/\S+) line (?P<line>\d+): (?P<late>Global setting \S+ won't change the setting inside an earlier"
    r" filter at \S+ line \d+).*"
    r"|Obsolete setting in (?P<old_path>/\S+?):(?P<old_line>\d+): (?P<old>.* (?:has been removed|no longer).*)"
    r"|(?P<ssl>SSL is disabled because global ssl=no.*))$")
AT_LINE = re.compile(r"Error in configuration file (?P<path>\S+?)(?: line (?P<line>\d+))?: (?P<text>.*)$")
STARTED = re.compile(r"section started at (?P<path>\S+?):(?P<line>\d+)")


def complaints(stderr, tree=""):
    """What doveconf wrote to standard error -> Problems in terms of live paths, without its repetitions."""
    problems, texts = [], []
    for raw in stderr.splitlines():
        line = raw.replace(tree, "") if tree else raw
        line = re.sub(r"^doveconf: ", "", line.strip())
        if not line or "dump-capability process" in line or line in texts:
            continue
        texts.append(line)
        unheeded = WITHOUT_EFFECT.match(line)
        if unheeded:
            problems.append(without_effect(unheeded))
            continue
        found = AT_LINE.search(line)
        if found:
            path, number, text = found.group("path"), found.group("line"), found.group("text")
            started = STARTED.search(text)
            if started:
                path, number = started.group("path"), started.group("line")
            problems.append(Problem(text, path, int(number) if number else None))
        elif line.startswith(("Fatal:", "Error:")):
            problems.append(Problem(line.split(":", 1)[1].strip()))
    # "Error: X" is repeated as "Fatal: Error in configuration file F: X".
    located = {problem.message for problem in problems if problem.path}
    unique, seen = [], set()
    for problem in problems:
        key = (problem.message, problem.path, problem.line)
        if key in seen or (problem.path is None and problem.message in located):
            continue
        seen.add(key)
        unique.append(problem)
    return unique


def without_effect(found):
    if found.group("late"):
        text = found.group("late").replace("won't", "would not") + ". Write it inside that section, or before it."
        return Problem(text, found.group("path"), int(found.group("line")))
    if found.group("old"):
        return Problem(found.group("old") + ". Remove it.", found.group("old_path"), int(found.group("old_line")))
    return Problem(found.group("ssl"), MAIN)


# --- the staged files


INCLUDE = re.compile(r"^(?P<head>\s*!include(?:_try)?\s+)(?P<pattern>\S+)(?P<tail>\s*)$")
READ = re.compile(r"^(?P<head>\s*[\w/]+\s*=\s*<\s*)(?P<path>/\S+)(?P<tail>\s*)$")


def includes(text):
    """The patterns that a configuration file includes."""
    return [found.group("pattern") for found in map(INCLUDE.match, text.splitlines()) if found]


def redirect(text, tree, staged):
    """Lets absolute paths in a staged file lead into the tree: all includes, and the values read from a staged file."""
    lines = []
    for line in text.split("\n"):
        found = INCLUDE.match(line)
        if found and found.group("pattern").startswith("/"):
            line = found.group("head") + tree + found.group("pattern") + found.group("tail")
        else:
            found = READ.match(line)
            if found and found.group("path") in staged:
                line = found.group("head") + tree + found.group("path") + found.group("tail")
        lines.append(line)
    return "\n".join(lines)


def locate(contents, setting, word):
    """(path, line) in {path: text} where `setting` names `word`."""
    wanted = re.compile(r"^\s*%s\s*=.*(?<![\w/.-])%s(?![\w-])" % (re.escape(setting), re.escape(word)))
    for path in sorted(contents):
        for number, line in enumerate(contents[path].splitlines(), 1):
            if wanted.match(line):
                return path, number
    return None, None


# --- what doveconf does not see: each takes the parsed configuration and yields Problems


def is_plugin(file_name, plugin):
    return re.match(r"lib(\d+_)?%s(_plugin)?\.so$" % re.escape(plugin), file_name) is not None


def plugin_problems(config, listing, contents):
    """listing(directory) -> its file names."""
    folder = config.settings.get("mail_plugin_dir", PLUGIN_DIR)
    asked = []
    for section in config.filters():
        for word in section.settings.get("mail_plugins", "").split():
            asked.append((word, "mail_plugins", section.where("mail_plugins"), folder))
    for section in config.walk():
        if section.kind == "plugin":
            sieve = section.settings.get("sieve_plugin_dir", folder + "/sieve")
            for word in section.settings.get("sieve_plugins", "").split():
                asked.append((word, "sieve_plugins", "sieve_plugins of plugin", sieve))
    seen, listings = set(), {}
    for word, setting, where, directory in asked:
        if (word, directory) in seen:
            continue
        seen.add((word, directory))
        if directory not in listings:
            listings[directory] = listing(directory)
        if any(is_plugin(name, word) for name in listings[directory]):
            continue
        path, line = locate(contents, setting, word)
        if word in PLUGIN_PACKAGES:
            remedy = "Debian's package %s brings it." % PLUGIN_PACKAGES[word]
        else:
            remedy = "Is the name right, and is the package that brings it installed?"
        yield Problem(
            "the plugin '%s' (%s) is not installed: no lib*_%s_plugin.so in %s. %s"
            % (word, where, word, directory, remedy),
            path,
            line,
            absent=True,
        )


def protocol_problems(config, exists, contents):
    """exists(path) -> bool. Only what `protocols` names: a default list holds what is installed."""
    folder = config.settings.get("libexec_dir", LIBEXEC_DIR)
    for protocol in config.settings.get("protocols", "").split():
        programs, package = PROTOCOLS.get(protocol, ((), ""))
        missing = [name for name in programs if not exists("%s/%s" % (folder, name))]
        if missing:
            path, line = locate(contents, "protocols", protocol)
            yield Problem(
                "the protocol '%s' needs %s/%s, which is not installed. Debian's package %s brings it."
                % (protocol, folder, missing[0], package),
                path,
                line,
                absent=True,
            )


def account_problems(config, known_user, known_group, contents):
    """Dovecot does not start when a service or one of its sockets names an account that does not exist."""
    seen = set()
    for section in config.walk():
        if section.kind not in ("service", "unix_listener", "fifo_listener"):
            continue
        for setting, known in (("user", known_user), ("group", known_group)):
            value = section.settings.get(setting, "")
            if not value or value.startswith("$") or value.isdigit() or (setting, value) in seen or known(value):
                continue
            seen.add((setting, value))
            path, line = locate(contents, setting, value)
            yield Problem(
                "%s is '%s', and there is no such %s on this host" % (section.where(setting), value, setting),
                path,
                line,
                absent=True,
            )


def ssl_pairs(config):
    """The certificate and key that belong together, wherever at least one of them is set.

    Yields (section, certificate setting, certificate, key setting, key), values as Dovecot has them: `</path`.
    """
    for section in config.filters():
        if section.effective("ssl", "yes") == "no":
            continue
        for cert_setting, key_setting in PAIRS:
            if cert_setting in section.settings or key_setting in section.settings:
                cert, key = section.effective(cert_setting), section.effective(key_setting)
                if cert or key:
                    yield section, cert_setting, cert, key_setting, key


def replication_problems(config, contents):
    """Settings that doveconf accepts and that stop replication, silently."""
    if config.settings.get("replication_sync_timeout"):
        path, line = locate(contents, "replication_sync_timeout", config.settings["replication_sync_timeout"])
        yield Problem(
            "replication_sync_timeout crashes the replicator in every release of Dovecot 2.3. Leave it out.", path, line
        )
    prefixes = [section.settings.get("prefix", "") for section in config.sections if section.kind == "namespace"]
    words = config.settings.get("replication_dsync_parameters", "").split()
    for flag, name in zip(words, words[1:]):
        if flag == "-n" and name not in prefixes:
            path, line = locate(contents, "replication_dsync_parameters", name)
            yield Problem(
                "replication_dsync_parameters has '-n %s', but -n takes the prefix of a namespace and none has this "
                "one: every synchronisation would fail. Use -N (all namespaces)." % name,
                path,
                line,
            )


def tls_problems(config, contents):
    if config.settings.get("ssl") == "required" and not config.settings.get("ssl_cert"):
        path, line = locate(contents, "ssl", "required")
        yield Problem("ssl = required, but there is no ssl_cert: nobody could log in.", path, line)


# The place for combinations that doveconf accepts but that break. Each: (config, contents) -> Problems.
COMBINATIONS = (replication_problems, tls_problems)


# --- certificates


class Certificates:
    """Asks openssl, once for each file."""

    def __init__(self, run):
        self.run = run
        self.keys = {}

    def certificate(self, path):
        """(public key or None, expired)"""
        if path not in self.keys:
            dummy, out, dummy2 = self.run(["openssl", "x509", "-in", path, "-noout", "-pubkey", "-checkend", "0"])
            self.keys[path] = (public_key(out), "will expire" in out)
        return self.keys[path]

    def key(self, path, password):
        if path not in self.keys:
            # Always with a password, so that an encrypted key is an error and not a question.
            dummy, out, dummy2 = self.run(
                ["openssl", "pkey", "-in", path, "-pubout", "-passin", "env:" + KEY_PASSWORD],
                environ_update={KEY_PASSWORD: password},
            )
            self.keys[path] = public_key(out)
        return self.keys[path]


def public_key(text):
    found = re.search(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", text, re.DOTALL)
    return "".join(found.group(1).split()) if found else None


# --- the check


class Check:
    """One staged tree. `run` is AnsibleModule.run_command; `live(path)` gives the place of a live path.

    staged: the paths in the tree; removed: live paths that this call takes away.
    """

    def __init__(self, run, tree, staged, removed=(), live=lambda path: path):
        self.run = run
        self.tree = tree
        self.staged = staged
        self.removed = removed
        self.live = live
        self.contents = {}
        self.config = None
        self.certificates = Certificates(run)
        self.warnings = []

    def place(self, path):
        """Where to read `path`: in the tree if it is there, else on the host."""
        inside = self.tree + path
        return inside if os.path.exists(inside) else self.live(path)

    def content(self, path):
        """What is in `path`, as far as there is such a file."""
        try:
            with open(self.place(path), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""

    def is_there(self, path):
        return os.path.isfile(self.place(path))

    def complete(self):
        """Adds to the tree what the staged files include but nobody manages, and lets absolute paths stay inside it."""
        todo, done = [MAIN], set()
        while todo:
            path = todo.pop()
            if path in done or not os.path.isfile(self.tree + path):
                continue
            done.add(path)
            with open(self.tree + path, "rb") as stream:
                text = stream.read().decode("utf-8", "replace")
            self.contents[path] = text
            for pattern in includes(text):
                absolute = posixpath.normpath(posixpath.join(posixpath.dirname(path), pattern))
                self._adopt(absolute)
                todo.extend(self._matches(self.tree, absolute))
            with open(self.tree + path, "wb") as stream:
                stream.write(redirect(text, self.tree, self.staged).encode("utf-8"))

    @staticmethod
    def _matches(root, pattern):
        from glob import glob

        return sorted(path[len(root) :] for path in glob(root + pattern) if os.path.isfile(path))

    def _adopt(self, pattern):
        root = self.live("/").rstrip("/")
        for path in self._matches(root, pattern):
            if path in self.removed or os.path.exists(self.tree + path):
                continue
            place = self.tree + path
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            with open(root + path, "rb") as source, open(place, "wb") as copy:
                copy.write(source.read())

    def doveconf(self, *options):
        """Returns (standard output, Problems)."""
        status, out, err = self.run(["doveconf"] + list(options) + ["-c", self.tree + MAIN])
        problems = complaints(err, self.tree)
        if status != 0 and not problems:
            text = (err.strip() or "it ended with exit status %d" % status).replace(self.tree, "")
            problems = [Problem(text)]
        return out, problems if status != 0 else [found for found in problems if found.path]

    def problems(self):
        if not os.path.isfile(self.tree + MAIN):
            return [Problem("nothing puts %s in place, so there is no configuration to check" % MAIN, MAIN)]
        self.complete()
        # -x resolves variables and reads the files behind `<`: without it doveconf -n accepts those that are missing.
        dummy, found = self.doveconf("-x", "-n", "-P")
        if found:
            return found
        out, found = self.doveconf("-n", "-P")
        if found:
            return found
        config = self.config = parse(out)
        found = list(plugin_problems(config, self.listing, self.contents))
        found += protocol_problems(config, lambda path: os.path.exists(self.live(path)), self.contents)
        users, groups = self.coming_accounts()
        found += account_problems(
            config,
            lambda name: name in users or known_user(name),
            lambda name: name in groups or known_group(name),
            self.contents,
        )
        for combination in COMBINATIONS:
            found += combination(config, self.contents)
        found += self.ssl_problems(config)
        return found

    def coming_accounts(self):
        """(users, groups) that the staged sysusers.d files make before the configuration comes into force."""
        text = ""
        for path in self._matches(self.tree, "/etc/sysusers.d/*.conf"):
            with open(self.tree + path, encoding="utf-8", errors="replace") as stream:
                text += stream.read() + "\n"
        return declared_accounts(text)

    def listing(self, directory):
        try:
            return os.listdir(self.live(directory))
        except OSError:
            return []

    def resolve(self, value):
        """`</path` -> (path as the user knows it, place to read it). Relative ones were resolved by doveconf -x."""
        path = value[1:].strip()
        if path.startswith(self.tree + "/"):
            path = path[len(self.tree) :]
        if path.startswith("/"):
            return path, self.place(path)
        for folder in sorted({posixpath.dirname(name) for name in self.contents}):
            candidate = posixpath.join(folder, path)
            if self.is_there(candidate):
                return candidate, self.place(candidate)
        return path, path

    def ssl_problems(self, config):
        for section in config.filters():
            for setting in ("ssl_ca", "ssl_client_ca_file", "ssl_client_cert", "ssl_client_key", "ssl_dh"):
                value = section.settings.get(setting, "")
                if setting == "ssl_client_ca_file" and value:
                    value = "<" + value
                if value.startswith("<"):
                    path, place = self.resolve(value)
                    if not os.path.isfile(place):
                        yield self.missing(section, setting, path)
        for section, cert_setting, cert, key_setting, key in ssl_pairs(config):
            yield from self.pair_problems(section, cert_setting, cert, key_setting, key)

    def missing(self, section, setting, path):
        file, line = locate(self.contents, setting, path)
        message = "%s is %s, and there is no such file. Put it there first." % (section.where(setting), path)
        return Problem(message, file, line, absent=True)

    def pair_problems(self, section, cert_setting, cert, key_setting, key):
        for setting, value, other in ((cert_setting, cert, key_setting), (key_setting, key, cert_setting)):
            if not value:
                file, line = locate(self.contents, other, "")
                yield Problem("%s is set, but %s is not." % (section.where(other), setting), file, line)
                return
        if not (cert.startswith("<") and key.startswith("<")):
            return  # The text itself stands in the configuration; doveconf has read it.
        (cert_path, cert_place), (key_path, key_place) = self.resolve(cert), self.resolve(key)
        absent = False
        for setting, path, place in ((cert_setting, cert_path, cert_place), (key_setting, key_path, key_place)):
            if not os.path.isfile(place):
                absent = True
                yield self.missing(section, setting, path)
        if absent:
            return
        of_cert, expired = self.certificates.certificate(cert_place)
        of_key = self.certificates.key(key_place, section.effective("ssl_key_password"))
        file, line = locate(self.contents, cert_setting, cert_path)
        if of_cert is None:
            yield Problem(
                "%s (%s) is not a certificate in PEM form." % (cert_path, section.where(cert_setting)), file, line
            )
        elif of_key is None:
            file, line = locate(self.contents, key_setting, key_path)
            yield Problem(
                "%s (%s) is not a private key that can be read (in PEM form, ssl_key_password if it is encrypted)."
                % (key_path, section.where(key_setting)),
                file,
                line,
            )
        elif of_cert != of_key:
            yield Problem(
                "the certificate %s (%s) does not belong to the private key %s: their public keys differ."
                % (cert_path, section.where(cert_setting), key_path),
                file,
                line,
            )
        elif expired:
            self.warnings.append("the certificate %s (%s) has expired" % (cert_path, section.where(cert_setting)))


def declared_accounts(sysusers):
    """(users, groups) that a sysusers.d file declares; a user brings a group of his name."""
    words = [line.split() for line in sysusers.splitlines()]
    users = {line[1] for line in words if len(line) > 1 and line[0].rstrip("!") == "u"}
    groups = {line[1] for line in words if len(line) > 1 and line[0] == "g"}
    return users, users | groups


def known_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def known_group(name):
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
