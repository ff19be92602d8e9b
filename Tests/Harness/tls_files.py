"""Certificates for a private broker: an authority, a server, a client, and an authority nobody trusts."""

import os
import shutil
import subprocess
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
[client]
basicConstraints = CA:false
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
"""


def create(directory):
    """Makes ca, server, client and other-ca (each .pem and .key) in `directory`, which appears only when complete."""
    parent = os.path.dirname(os.path.abspath(directory))
    with tempfile.TemporaryDirectory(dir=parent) as work:
        authority(work, "ca", "vmops test authority")
        authority(work, "other-ca", "another authority")
        issue(work, "server", "localhost")
        issue(work, "client", "vmops test client")
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(work, directory)
        os.mkdir(work)  # For the context manager to remove.


def authority(work, file, name):
    openssl(work, file, name, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "3650", "-extensions", "authority", "-keyout", file + ".key", "-out", file + ".pem")  # fmt: skip


def issue(work, file, name):
    openssl(work, file, name, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", file + ".key", "-out", file + ".csr")  # fmt: skip
    subprocess.run(
        ["openssl", "x509", "-req", "-in", file + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "3650", "-extfile", file + ".cnf", "-extensions", file, "-out", file + ".pem"],
        cwd=work, check=True, capture_output=True,
    )  # fmt: skip


def openssl(work, file, name, *arguments):
    with open(os.path.join(work, file + ".cnf"), "w") as configuration:
        configuration.write(CONFIGURATION.format(name=name))
    subprocess.run(
        ["openssl", arguments[0], "-config", file + ".cnf", *arguments[1:]], cwd=work, check=True, capture_output=True
    )
