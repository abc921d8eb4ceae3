"""The audit of locked versions, against an answer as OSV gives it; nothing is asked outside."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra import audit
from tests.small import ROOT


class Osv(BaseHTTPRequestHandler):
    """Knows one vulnerability, of one version."""

    asked: list[dict[str, object]]

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        type(self).asked = queries
        known = [{"id": "GHSA-2"}, {"id": "CVE-1"}]
        bad = {"package": {"name": "leaky", "ecosystem": "PyPI"}, "version": "1.0"}
        results = json.dumps({"results": [{"vulns": known} if query == bad else {} for query in queries]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>" if self.path == "/proxy" else results.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def osv() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/querybatch"
    server.shutdown()


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lock files with a version that is known to be vulnerable."""
    (tmp_path / "requirements.lock").write_text("# a comment==1\nleaky==1.0\nsound==2.0\n")
    (tmp_path / "requirements-ray.lock").write_text("ray==2.60.0\n")
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 1)])
def test_a_vulnerable_version_is_told_and_fails_where_asked(
    osv: str, locks: Path, capsys: pytest.CaptureFixture[str], strict: list[str], code: int
) -> None:
    assert audit.main([*strict, "--service", osv]) == code
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("known vulnerability: leaky 1.0: CVE-1, GHSA-2")
    assert last == "audit of 3 packages: 1 with known vulnerabilities"


def test_all_locked_versions_are_asked_about_at_once(osv: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--strict", "--service", osv]) == 0
    lines = [line for name in audit.LOCKS for line in (ROOT / name).read_text().splitlines()]
    assert len(Osv.asked) == sum(1 for line in lines if "==" in line) > 200
    assert "none with known vulnerabilities" in capsys.readouterr().out


@pytest.mark.parametrize("service", ["http://127.0.0.1:9/v1/querybatch", "proxy"])
def test_without_an_answer_the_audit_says_so_and_passes(
    osv: str, locks: Path, capsys: pytest.CaptureFixture[str], service: str
) -> None:
    asked = osv.replace("v1/querybatch", service) if service == "proxy" else service
    assert audit.main(["--strict", "--service", asked]) == 0
    assert capsys.readouterr().out.startswith(f"audit of 3 packages: skipped, no answer of {asked} (")
