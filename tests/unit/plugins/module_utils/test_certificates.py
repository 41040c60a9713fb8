"""What openssl says of certificates and keys, wherever they are."""

from __future__ import annotations

import subprocess

from mail_server import self_signed

from ansible_collections.mailcluster.dovecot.plugins.module_utils._certificates import Certificates


def run(argv, environ_update=None):
    done = subprocess.run(
        argv, env={"PATH": "/usr/bin:/bin", **(environ_update or {})}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_one_file_may_hold_a_certificate_and_its_key(tmp_path):
    both = self_signed(tmp_path)
    found = Certificates(run)
    public, expired = found.certificate(str(both))
    assert public and not expired
    assert found.key(str(both), "") == public
    assert found.certificate(str(both)) == (public, False)
