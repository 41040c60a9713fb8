"""A renewed certificate is taken up when it is whole and goes with its key, by directors while the ring is in sync only."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import jinja2
import pytest
from programs import program as load

TEMPLATES = Path(__file__).resolve().parents[3] / "roles/server/templates"


def make(folder, name):
    """A certificate with its key, as they lie side by side in a folder of certbot's archive."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-subj",
            f"/CN={name}",
            "-keyout",
            folder / "key.pem",
            "-out",
            folder / "cert.pem",
        ],
        check=True,
        capture_output=True,
    )
    return folder


def render(name, **variables):
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["to_json"] = json.dumps
    return environment.from_string((TEMPLATES / name).read_text()).render(ansible_managed="", **variables)


class World:
    """A node whose Dovecot shows what it has read last."""

    def __init__(self, folder, director=False):
        self.folder, self.live = folder, folder / "live"
        self.live.mkdir()
        self.old, self.new = make(folder / "1", "old"), make(folder / "2", "new")
        self.point_to(self.old)
        self.program = load("server", "certificate")
        self.settings = self.program.Settings(
            certificate=str(self.live / "cert.pem"), key=str(self.live / "key.pem"), port=993, ring=director
        )
        self.reloads = 0
        self.ring = [True]  # the last one stays
        self.shown = None
        self.read()
        self.program.SETTLE = self.program.PATIENCE = 0
        self.program.DEPLOYMENTS = folder / "deployments"

    def point_to(self, folder, names=("cert.pem", "key.pem")):
        """As certbot does: another link in the place of the one that is there."""
        for name in names:
            link = self.live / "new"
            link.symlink_to(folder / name)
            link.rename(self.live / name)

    def read(self):
        self.shown = ssl.PEM_cert_to_DER_cert((self.live / "cert.pem").read_text())

    def reload(self):
        self.reloads += 1
        self.read()

    def ring_is_synced(self):
        return self.ring.pop(0) if len(self.ring) > 1 else self.ring[0]

    def served(self):
        return self.shown

    def run(self):
        return self.program.run(self)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_nothing_is_done_while_dovecot_shows_what_the_file_has(world):
    assert (world.run(), world.reloads) == (0, 0)


def test_a_link_that_leads_to_another_certificate_is_taken_up_once(world, capsys):
    world.point_to(world.new)
    assert [world.run(), world.run()] == [0, 0]
    assert world.reloads == 1
    assert "is in force" in capsys.readouterr().out


def test_a_file_that_is_written_over_is_taken_up(world):
    for name in ("cert.pem", "key.pem"):
        (world.old / name).write_text((world.new / name).read_text())
    assert (world.run(), world.reloads) == (0, 1)


def test_a_certificate_whose_key_is_still_the_old_one_waits_for_it(world, capsys):
    world.point_to(world.new, ["cert.pem"])
    assert (world.run(), world.reloads) == (1, 0)
    assert "do not go together" in capsys.readouterr().out
    world.point_to(world.new, ["key.pem"])
    assert (world.run(), world.reloads) == (0, 1)


@pytest.mark.parametrize("part", [0, 100, -30])
def test_a_file_that_is_half_written_is_left_for_the_next_time(part, world, capsys):
    whole = (world.new / "cert.pem").read_text()
    world.point_to(world.new)
    (world.new / "cert.pem").write_text(whole[:part])
    assert (world.run(), world.reloads) == (1, 0)
    assert "is not complete" in capsys.readouterr().out
    (world.new / "cert.pem").write_text(whole)
    assert (world.run(), world.reloads) == (0, 1)


def test_a_chain_that_is_half_written_is_left_for_the_next_time(world):
    chain = (world.new / "cert.pem").read_text() + (world.old / "cert.pem").read_text()
    world.point_to(world.new)
    (world.new / "cert.pem").write_text(chain[:-40])
    assert (world.run(), world.reloads) == (1, 0)


def test_a_file_that_is_gone_is_a_failure(world):
    (world.live / "cert.pem").unlink()
    assert (world.run(), world.reloads) == (1, 0)


def test_a_dovecot_that_does_not_run_is_left_alone(world):
    world.shown = None
    assert (world.run(), world.reloads) == (0, 0)


def test_a_dovecot_that_was_started_with_a_file_that_it_could_not_use_is_reloaded(world):
    world.shown = b""
    assert (world.run(), world.reloads) == (0, 1)


def test_what_a_deployment_has_installed_in_part_is_not_brought_into_force(world):
    world.point_to(world.new)
    (world.folder / "deployments").mkdir()
    (world.folder / "deployments/pending.json").touch()
    assert (world.run(), world.reloads) == (0, 0)
    (world.folder / "deployments/pending.json").unlink()
    assert (world.run(), world.reloads) == (0, 1)


def test_a_director_does_not_reload_while_the_ring_is_out_of_sync(tmp_path, capsys):
    director = World(tmp_path, director=True)
    director.point_to(director.new)
    director.ring = [False]
    assert (director.run(), director.reloads) == (1, 0)
    assert "the ring is not in sync" in capsys.readouterr().out
    director.ring = [True]
    assert (director.run(), director.reloads) == (0, 1)


def test_directors_have_their_turns_far_from_each_other():
    def turn(name, directors, roles=("director",)):
        timer = render(
            "mailcluster-dovecot-certificate.timer.j2",
            inventory_hostname=name,
            __dovecot_roles=roles,
            __dovecot_topology={"directors": directors, "nodes": dict.fromkeys(["a1", "a2", *directors])},
        )
        return next(line for line in timer.splitlines() if line.startswith("OnCalendar="))

    assert [turn(name, ["d1", "d2"]) for name in ("d1", "d2")] == ["OnCalendar=*:00/15:00", "OnCalendar=*:07/15:30"]
    assert turn("a2", [], ("backend",)) == "OnCalendar=*:07/15:30"
