# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules around doveadm share: options, and the way to run it."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable
from typing import IO, Protocol

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_text

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    DoveadmError,
    NotInstalled,
    Runner,
    limited,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._main import main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Params, Result

TIMEOUT: Options = {"timeout": {"type": "int", "default": 60}}
# Director and replicator are asked through sockets of their own.
SOCKET: Options = {"socket_path": {"type": "path"}}
# A module's work: of a Doveadm, the parameters and whether it is check mode.
Converge = Callable[[Doveadm, Params, bool], Result]


class Piped(Protocol):
    """A process whose outputs are pipes."""

    stdout: IO[bytes]
    stderr: IO[bytes]


def run(converge: Converge, options: Options) -> None:
    """Runs the module whose options (beside C(timeout), unless it has a default of its own) and work are given.

    I(converge) takes a Doveadm, the parameters and whether it is check mode, and gives the result.
    """

    def work(module: AnsibleModule) -> Result:
        doveadm = Doveadm(runner_of(module), module.params["timeout"])
        try:
            return converge(doveadm, module.params, module.check_mode)
        except DoveadmError as error:
            error.changed = doveadm.changed
            raise

    main(work, dict(TIMEOUT, **options))


def runner_of(module: AnsibleModule) -> Runner:
    """Runs an argument list with a time limit: no shell, and nothing in it is expanded."""

    def runner(argv: list[str], seconds: float) -> tuple[int, str, str]:
        if not module.get_bin_path(argv[0]):
            raise NotInstalled(
                "there is no %s on this node: install dovecot-core, or run this on a node of the cluster" % argv[0]
            )
        collected: list[tuple[bytes, bytes]] = []
        rc, stdout, stderr = module.run_command(
            limited(argv, seconds),
            environ_update={"LC_ALL": "C"},
            expand_user_and_vars=False,
            errors="surrogate_then_replace",
            before_communicate_callback=lambda process: collected.append(collect(process)),
        )
        if not collected:
            return rc, stdout, stderr
        stdout, stderr = (to_text(output, errors="surrogate_then_replace") for output in collected[0])
        return rc, stdout, stderr

    return runner


def collect(process: Piped) -> tuple[bytes, bytes]:
    """Reads both outputs of I(process) to their ends.

    run_command appends each piece to what it has so far, which for the map of 100,000 users takes longer than all the rest.
    """
    pieces: dict[IO[bytes], list[bytes]] = {process.stdout: [], process.stderr: []}
    with selectors.DefaultSelector() as selector:
        for stream, read in pieces.items():
            selector.register(stream, selectors.EVENT_READ, read)
        while selector.get_map():
            for key, _event in selector.select():
                piece = os.read(key.fd, 1 << 20)
                if piece:
                    key.data.append(piece)
                else:
                    selector.unregister(key.fileobj)
    return b"".join(pieces[process.stdout]), b"".join(pieces[process.stderr])
