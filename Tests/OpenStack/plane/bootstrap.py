"""The set-up of a control plane: databases, users, the catalogue, cells, a flavor, a network, an image. Each step is done
once, and noted when it is."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import files
from common import HERE, ROOT, Failure, last_lines, write
from services import environment, path_of
from settings import PHYSICAL_NETWORK, REGION

# The name in the catalogue, and the type, of each service with an API.
CATALOGUE = {
    "placement": ("placement", "placement"),
    "glance": ("glance", "image"),
    "neutron": ("neutron", "network"),
    "nova-api": ("nova", "compute"),
}


def run(plane, service, *command):
    """Runs a tool of a service to its end, as the service's user; its output is in DIR/log/setup.log."""
    owner = plane.owner(service)
    identity = dict(user=owner[0], group=owner[1], extra_groups=[]) if owner else {}
    log = plane.path("log", "setup-%s.log" % plane.package(service))
    with open(log, "ab") as output:
        output.write(("$ %s\n" % " ".join(command)).encode())
        output.flush()
        status = subprocess.call(
            [path_of(command[0])] + list(command[1:]),
            env=environment(plane, service),
            cwd=plane.directory_of(service),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **identity,
        )
    if status != 0:
        raise Failure("%s exited with %d (its output: %s)" % (" ".join(command[:3]), status, log), last_lines(log))


def prepare_mariadb(plane):
    """An empty database server, and the accounts its first start makes."""
    owner = plane.owner("mariadb")
    directory = plane.make_directory("mariadb")
    user = "mysql" if owner else "root" if os.geteuid() == 0 else None
    plane.write("mariadb", "init.sql", files.mariadb_accounts(plane))
    configuration = plane.write("mariadb", "mariadb.conf", files.mariadb(plane, directory, user))
    # Others get through it to the socket.
    os.chmod(directory, 0o711)
    if not os.path.isdir(os.path.join(directory, "data", "mysql")):
        shutil.rmtree(os.path.join(directory, "data"), ignore_errors=True)
        run(
            plane, "mariadb", "mariadb-install-db", "--defaults-file=" + configuration, "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )  # fmt: skip


def configure(plane):
    """Everything that services want to find before they start."""
    for name in ("keystone", "placement", "glance", "neutron", "nova"):
        directory = plane.make_directory(name)
        plane.write(name, name + ".conf", getattr(files, name)(plane, directory))
    for name in ("fernet-keys", "credential-keys"):
        plane.make_directory("keystone", name)
    for name in ("images", "staging", "tasks"):
        plane.make_directory("glance", name)
    plane.make_directory("neutron", "lock")
    plane.make_directory("nova", "lock")
    with open("/usr/share/nova-common/api-paste.ini") as file:
        plane.write("nova", "api-paste.ini", file.read())
    save_agents(plane)


def save_agents(plane):
    plane.make_directory("agents")
    os.chmod(plane.path("agents"), 0o755)
    write(plane.path("agents", "hosts.json"), json.dumps(plane.settings["agents"]), 0o644)


def make_databases(plane, with_nova):
    """The tables of all services; two services at a time."""

    def keystone():
        configuration = ["--config-file", plane.path("keystone", "keystone.conf")]
        run(plane, "keystone", "keystone-manage", *configuration, "db_sync")
        owner = plane.owner("keystone") or (os.geteuid(), os.getegid())
        identity = ["--keystone-user", str(owner[0]), "--keystone-group", str(owner[1])]
        run(plane, "keystone", "keystone-manage", *configuration, "fernet_setup", *identity)
        run(plane, "keystone", "keystone-manage", *configuration, "credential_setup", *identity)
        endpoint = plane.endpoint("keystone")
        run(
            plane, "keystone", "keystone-manage", *configuration, "bootstrap", "--bootstrap-password", plane.password,
            "--bootstrap-region-id", REGION, "--bootstrap-public-url", endpoint, "--bootstrap-internal-url", endpoint,
            "--bootstrap-admin-url", endpoint,
        )  # fmt: skip

    def placement():
        run(plane, "placement", "placement-manage", "--config-file", plane.path("placement", "placement.conf"), "db", "sync")

    def glance():
        run(plane, "glance", "glance-manage", "--config-file", plane.path("glance", "glance.conf"), "db_sync")

    def neutron():
        configuration = plane.path("neutron", "neutron.conf")
        run(plane, "neutron", "neutron-db-manage", "--config-file", configuration, "upgrade", "heads")

    def nova():
        manage = ["nova-manage", "--config-file", plane.path("nova", "nova.conf")]
        run(plane, "nova", *manage, "api_db", "sync")
        run(plane, "nova", *manage, "cell_v2", "map_cell0", "--database_connection", plane.database("nova_cell0"))
        run(plane, "nova", *manage, "db", "sync")
        run(plane, "nova", *manage, "cell_v2", "create_cell", "--name", "cell1")

    steps = [neutron, keystone, glance, placement] + ([nova] if with_nova else [])
    with ThreadPoolExecutor(2) as pool:
        waiting = {}
        for step in steps:
            if not plane.is_done(step.__name__ + "-database"):
                waiting[step.__name__] = pool.submit(step)
        for name, future in waiting.items():
            future.result()
            plane.mark_done(name + "-database")


def connect(plane):
    import openstack

    return openstack.connect(
        auth=dict(
            auth_url=plane.endpoint("keystone"), username="admin", password=plane.password, project_name="admin",
            user_domain_name="Default", project_domain_name="Default",
        ),
        region_name=REGION, identity_api_version="3", compute_default_microversion="2.90",
    )  # fmt: skip


def make_users(plane):
    """The project and users of the services, and the catalogue."""
    if plane.is_done("users"):
        return
    identity = connect(plane).identity
    # Listed once: keystone is slow, and an interrupted set-up goes on where it was.
    projects, roles, users, entries = (
        {each.name: each for each in listing()}
        for listing in (identity.projects, identity.roles, identity.users, identity.services)
    )
    project = projects.get("service") or identity.create_project(name="service", domain_id="default")
    service_role = roles.get("service") or identity.create_role(name="service")
    for name, kind in CATALOGUE.values():
        user = users.get(name) or identity.create_user(name=name, password=plane.password, domain_id="default")
        for role in (roles["admin"], service_role):
            identity.assign_project_role_to_user(project, user, role)
    known = {(each.service_id, each.interface) for each in identity.endpoints()}
    for service, (name, kind) in CATALOGUE.items():
        entry = entries.get(name) or identity.create_service(name=name, type=kind)
        for interface in ("public", "internal"):
            if (entry.id, interface) not in known:
                url = plane.endpoint(service)
                identity.create_endpoint(service_id=entry.id, interface=interface, region_id=REGION, url=url)
    plane.mark_done("users")


def make_resources(plane):
    """A network with a subnet, and the image of a guest that needs 16 MiB."""
    if plane.is_done("resources"):
        return
    cloud = connect(plane)
    network = cloud.network.find_network("private") or cloud.network.create_network(
        name="private", is_shared=True, provider_network_type="flat", provider_physical_network=PHYSICAL_NETWORK
    )
    if not cloud.network.find_subnet("private-subnet"):
        cloud.network.create_subnet(
            name="private-subnet", network_id=network.id, ip_version=4, cidr="10.77.0.0/16", enable_dhcp=False,
            gateway_ip="10.77.0.1",
        )  # fmt: skip
    disk = plane.path("tick.raw")
    subprocess.run([sys.executable, os.path.join(ROOT, "Tests", "Guests", "build.py"), "tick", disk], check=True)
    if not cloud.image.find_image("tick"):
        cloud.create_image(
            "tick", filename=disk, disk_format="raw", container_format="bare", visibility="public", wait=True,
            validate_checksum=True,
        )  # fmt: skip
    plane.mark_done("resources")


def set_up_stamp():
    """Tells apart what different versions of these files set up."""
    digest = hashlib.sha256()
    for name in ("bootstrap.py", "files.py"):
        with open(os.path.join(HERE, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def keep_pristine(plane):
    """Keeps the databases as they are after the set-up; MariaDB is stopped."""
    pristine = plane.path("mariadb", "pristine")
    shutil.rmtree(pristine, ignore_errors=True)
    copy(plane.path("mariadb", "data"), pristine)
    plane.settings["stamp"] = set_up_stamp()
    plane.mark_done("pristine")


def restore_pristine(plane):
    """Puts everything back to where it was after the set-up; whether that was possible."""
    if not plane.is_done("pristine") or plane.settings.get("stamp") != set_up_stamp():
        return False
    data = plane.path("mariadb", "data")
    shutil.rmtree(data, ignore_errors=True)
    copy(plane.path("mariadb", "pristine"), data)
    shutil.rmtree(plane.path("broker", "mnesia"), ignore_errors=True)
    return True


def copy(source, destination):
    subprocess.run(["cp", "-a", "--reflink=auto", source, destination], check=True)


def make_flavors(plane):
    if plane.is_done("flavors"):
        return
    compute = connect(plane).compute
    for name, ram, disk in (("tiny", 64, 1), ("small", 128, 1)):
        if not compute.find_flavor(name):
            compute.create_flavor(name=name, ram=ram, vcpus=1, disk=disk)
    plane.mark_done("flavors")
