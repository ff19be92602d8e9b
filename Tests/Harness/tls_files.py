"""Certificates for a private broker: an authority, a server, a client, servers that must be refused, and an authority
nobody trusts. Run with a directory, makes them there."""

import os
import shutil
import subprocess
import sys
import tempfile

CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:false
keyUsage = digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1,IP:::1
[elsewhere]
basicConstraints = CA:false
keyUsage = digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:elsewhere.example
[client]
basicConstraints = CA:false
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
"""


def create(directory):
    """Makes ca, server, client, other-ca, elsewhere (for another host), expired (since yesterday) and untrusted (by
    other-ca), each .pem and .key, in `directory`, which appears only when complete."""
    parent = os.path.dirname(os.path.abspath(directory))
    with tempfile.TemporaryDirectory(dir=parent) as work:
        authority(work, "ca", "vmops test authority")
        authority(work, "other-ca", "another authority")
        issue(work, "server", "localhost")
        issue(work, "client", "vmops test client")
        issue(work, "elsewhere", "elsewhere.example")
        issue(work, "expired", "localhost", kind="server", days=-1)
        issue(work, "untrusted", "localhost", kind="server", ca="other-ca")
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(work, directory)
        os.mkdir(work)  # For the context manager to remove.


def authority(work, file, name):
    openssl(work, file, name, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "3650", "-extensions", "authority", "-keyout", file + ".key", "-out", file + ".pem")  # fmt: skip


def issue(work, file, name, kind=None, ca="ca", days=3650):
    openssl(work, file, name, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", file + ".key", "-out", file + ".csr")  # fmt: skip
    subprocess.run(
        ["openssl", "x509", "-req", "-in", file + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial",
         "-days", str(days), "-extfile", file + ".cnf", "-extensions", kind or file, "-out", file + ".pem"],
        cwd=work, check=True, capture_output=True,
    )  # fmt: skip


def openssl(work, file, name, *arguments):
    with open(os.path.join(work, file + ".cnf"), "w") as configuration:
        configuration.write(CONFIGURATION.format(name=name))
    subprocess.run(
        ["openssl", arguments[0], "-config", file + ".cnf", *arguments[1:]], cwd=work, check=True, capture_output=True
    )


if __name__ == "__main__":
    create(sys.argv[1])
