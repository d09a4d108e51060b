"""A certificate authority for tests, made by the openssl program."""

import subprocess
from pathlib import Path

__all__ = ["Authority"]


class Authority:
    """Signs certificates; its own is `certificate`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        extension = ["-addext", "keyUsage=critical,keyCertSign", "-days", "2"]
        itself = ["-x509", *extension, "-out", str(self.certificate)]
        _openssl("req", *_request("authority", self._key), *itself)

    def server(self, name: str, *addresses: str) -> tuple[Path, Path]:
        """Return certificate and key of a server with these addresses."""
        names = ",".join(f"IP:{address}" for address in addresses)
        return self._signed(name, f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")

    def client(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of a client."""
        return self._signed(name, "extendedKeyUsage=clientAuth\n")

    def _signed(self, name: str, extensions: str) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        request, wanted = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        wanted.write_text(extensions + "authorityKeyIdentifier=keyid\n")
        _openssl("req", *_request(name, key), "-out", str(request))
        signer = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial"]
        files = ["-in", str(request), "-extfile", str(wanted), "-out", str(certificate)]
        _openssl("x509", "-req", *signer, *files, "-days", "2")
        return certificate, key


def _request(name: str, key: Path) -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    return [*curve, "-nodes", "-subj", f"/CN={name} of the tests", "-keyout", str(key)]


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
