from pathlib import Path

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.image.registry.certificates import Certificates, TlsFiles


def test_the_files_of_all_folders_count(tmp_path: Path) -> None:
    for name, file in (("a", "ca.crt"), ("b", "more.crt"), ("b", "me.cert"), ("b", "me.key")):
        folder = tmp_path / name / "lab:5000"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    certificates = Certificates((tmp_path / "a", tmp_path / "b"))
    b = tmp_path / "b" / "lab:5000"
    assert certificates.find("lab:5000") == TlsFiles(
        authorities=(tmp_path / "a" / "lab:5000" / "ca.crt", b / "more.crt"),
        pairs=((b / "me.cert", b / "me.key"),),
    )
    assert certificates.find("lab") == TlsFiles()


@pytest.mark.parametrize("server", ["", ".", "..", "../x", "user@lab", "a/b", "*"])
def test_a_stranger_s_address_leads_to_no_other_folder(tmp_path: Path, server: str) -> None:
    folder = tmp_path / "certs.d"
    (folder / "lab").mkdir(parents=True)
    for place in (tmp_path, folder, folder / "lab"):
        (place / "ca.crt").touch()
    assert Certificates((folder,)).find(server) == TlsFiles()


def test_what_is_no_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nonsense")
    with pytest.raises(InvalidArgument, match=r'cannot use ".*/ca\.crt"'):
        TlsFiles(authorities=(tmp_path / "ca.crt",)).context(verifies=True)
