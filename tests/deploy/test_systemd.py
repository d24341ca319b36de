"""The systemd unit, checked by systemd itself."""

import re
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy/systemd/gateway.service"
pytestmark = pytest.mark.needs("systemd-analyze")


def analyze(*argv: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *argv], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # The program itself is not installed here; anything else is a complaint.
    unit = tmp_path / "gateway.service"
    unit.write_text(UNIT.read_text().replace("/opt/gateway/bin/gateway", "/bin/true"))

    assert analyze("verify", "--man=no", str(unit)) == ""


def test_systemd_calls_its_exposure_ok() -> None:
    stated = analyze("security", "--offline=yes", "--no-pager", str(UNIT))

    found = re.search(r"exposure level for gateway\.service: ([\d.]+)", stated)

    assert found is not None, stated
    assert float(found[1]) < 2.0


def test_a_bare_unit_would_be_called_exposed(tmp_path: Path) -> None:
    unit = tmp_path / "bare.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")

    stated = analyze("security", "--offline=yes", "--no-pager", str(unit))

    found = re.search(r"exposure level for bare\.service: ([\d.]+)", stated)
    assert found is not None, stated
    assert float(found[1]) > 9.0
