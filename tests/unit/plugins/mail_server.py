"""A server on loopback that says what a Dovecot would, for modules that try one."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager


class Script:
    """One connection: a list of what is sent (bytes), awaited (str, a line), or done (TLS, a number of seconds)."""

    TLS = object()

    def __init__(self, *steps):
        self.steps = steps

    def play(self, connection, context):
        for step in self.steps:
            if step is self.TLS:
                connection = context.wrap_socket(connection, server_side=True)
            elif isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, str):
                heard = connection.recv(4096)
                assert heard.rstrip(b"\r\n") == step.encode("latin-1"), heard
            else:
                time.sleep(step)
        connection.close()


@contextmanager
def serving(*scripts, certificate=None):
    """The port of a server that plays the scripts, one a connection, the last one for all that follow."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        remaining = list(scripts)
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:  # the test is over
                return
            script = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            threading.Thread(target=played, args=(script, connection, context), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def played(script, connection, context):
    try:
        script.play(connection, context)
    except (OSError, AssertionError):
        connection.close()


def self_signed(folder):
    """A file with a key and a certificate that nobody has to trust."""
    pem = folder / "server.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=mail.example.org",
            "-keyout",
            pem,
            "-out",
            folder / "certificate",
        ],
        check=True,
        capture_output=True,
    )
    pem.write_text(pem.read_text() + (folder / "certificate").read_text())
    return pem
