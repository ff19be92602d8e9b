"""The configuration files of the services."""

from settings import PHYSICAL_NETWORK, REGION

# Who asks keystone whether a token is good, and may use other services on behalf of users.
AUTHENTICATION = """auth_type = password
auth_url = {auth_url}
username = {user}
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = %s
""" % REGION

MEMBER = """[keystone_authtoken]
www_authenticate_uri = {auth_url}
service_token_roles = service
service_token_roles_required = true
""" + AUTHENTICATION


def authentication(plane, user):
    return AUTHENTICATION.format(auth_url=plane.endpoint("keystone"), user=user, password=plane.password)


def member(plane, user):
    return MEMBER.format(auth_url=plane.endpoint("keystone"), user=user, password=plane.password)


def database(plane, name, section="database"):
    return "[%s]\nconnection = %s\nmax_pool_size = 5\nmax_overflow = 20\n" % (section, plane.database(name))


def mariadb(plane, directory, user):
    return f"""[mariadbd]
datadir = {directory}/data
socket = {directory}/mysql.sock
pid_file = {directory}/mysql.pid
init_file = {directory}/init.sql
{"user = " + user if user else ""}
skip_networking
skip_name_resolve
performance_schema = off
max_connections = 300
innodb_buffer_pool_size = 128M
innodb_log_file_size = 32M
innodb_flush_log_at_trx_commit = 0
innodb_doublewrite = off
innodb_use_native_aio = off
character_set_server = utf8mb3
lc_messages_dir = /usr/share/mysql
"""


def mariadb_accounts(plane):
    """Run at each start of the server."""
    lines = ["ALTER USER root@localhost IDENTIFIED BY '%s';" % plane.password]
    for name in "keystone placement glance neutron nova nova_api nova_cell0".split():
        user = name.partition("_")[0]
        lines += [
            "CREATE DATABASE IF NOT EXISTS %s;" % name,
            "CREATE USER IF NOT EXISTS %s@localhost IDENTIFIED BY '%s';" % (user, plane.password),
            "GRANT ALL ON %s.* TO %s@localhost;" % (name, user),
        ]
    return "\n".join(lines) + "\n"


def keystone(plane, directory):
    return f"""[DEFAULT]
use_stderr = true
[token]
expiration = 86400
[fernet_tokens]
key_repository = {directory}/fernet-keys
[fernet_receipts]
key_repository = {directory}/fernet-keys
[credential]
key_repository = {directory}/credential-keys
[identity]
password_hash_rounds = 4
[cache]
enabled = false
{database(plane, "keystone")}"""


def placement(plane, directory):
    return f"""[DEFAULT]
use_stderr = true
[api]
auth_strategy = keystone
{member(plane, "placement")}
{database(plane, "placement", "placement_database")}"""


def glance(plane, directory):
    return f"""[DEFAULT]
use_stderr = true
bind_host = 127.0.0.1
bind_port = {plane.port("glance")}
workers = 1
enabled_backends = store:file
node_staging_uri = file://{directory}/staging
enabled_import_methods = []
[glance_store]
default_backend = store
[store]
filesystem_store_datadir = {directory}/images
[os_glance_staging_store]
filesystem_store_datadir = {directory}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {directory}/tasks
[paste_deploy]
flavor = keystone
config_file = /usr/share/glance-common/glance-api-paste.ini
{member(plane, "glance")}
{database(plane, "glance")}"""


def neutron(plane, directory):
    """ML2 binds a port when an agent of one of its drivers is alive on the port's host. Both drivers are there, so that
    either kind of agent does; the one of Linux bridges has to be asked for by its name in Nova 26's Neutron."""
    return f"""[DEFAULT]
use_stderr = true
bind_host = 127.0.0.1
bind_port = {plane.port("neutron")}
transport_url = {plane.transport_url()}
core_plugin = ml2
service_plugins =
api_paste_config = /usr/share/neutron-common/api-paste.ini
state_path = {directory}
api_workers = 1
rpc_workers = 0
rpc_state_report_workers = 0
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
agent_down_time = 60
[experimental]
linuxbridge = true
[ml2]
type_drivers = flat,vlan
tenant_network_types =
mechanism_drivers = linuxbridge,openvswitch
extension_drivers = port_security
[ml2_type_flat]
flat_networks = {PHYSICAL_NETWORK}
[securitygroup]
enable_security_group = true
[oslo_concurrency]
lock_path = {directory}/lock
{member(plane, "neutron")}
[nova]
{authentication(plane, "nova")}
{database(plane, "neutron")}"""


def clients(plane):
    """What Nova's services, and the hosts, know about the services beside them."""
    sections = {"placement": "", "neutron": "service_metadata_proxy = false\n", "service_user": "send_service_user_token = true\n"}
    text = "".join("[%s]\n%s%s" % (name, more, authentication(plane, "nova")) for name, more in sections.items())
    return text + "[glance]\nregion_name = %s\n" % REGION


def nova(plane, directory):
    """An API under uWSGI schedules nothing between two requests, heartbeats neither; a broker that waits for them closes the
    connection, and the next request waits for an answer that comes nowhere."""
    return f"""[DEFAULT]
use_stderr = true
transport_url = {plane.transport_url()}
my_ip = 127.0.0.1
state_path = {directory}
osapi_compute_workers = 1
service_down_time = 30
report_interval = 5
[api]
auth_strategy = keystone
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
[upgrade_levels]
compute = auto
[conductor]
workers = 1
[scheduler]
workers = 1
[oslo_concurrency]
lock_path = {directory}/lock
[oslo_policy]
enforce_scope = false
{member(plane, "nova")}
{clients(plane)}
{database(plane, "nova_api", "api_database")}
{database(plane, "nova")}"""


def host(plane, name, state_path, backend="qemu"):
    """The nova.conf of a host of vmopsd: Nova's own sections with Nova's own names, and what is ours."""
    return f"""[DEFAULT]
transport_url = {plane.transport_url()}
my_ip = 127.0.0.1
hosts = {name}
state_path = {state_path}
backend = {backend}
{member(plane, "nova")}
{clients(plane)}
[nova]
conductor = rpc
service_version = 64
report_interval = 5
update_resources_interval = 10
reserved_host_memory_mb = 512
[qemu]
acceleration = auto
network = user
"""


def stock_host(plane, name, state_path, driver):
    """The nova.conf of a host of Nova's own nova-compute."""
    return f"""[DEFAULT]
use_stderr = true
transport_url = {plane.transport_url()}
my_ip = 127.0.0.1
host = {name}
state_path = {state_path}
instances_path = {state_path}/instances
report_interval = 5
{driver}
[upgrade_levels]
compute = auto
[vnc]
enabled = false
[oslo_concurrency]
lock_path = {state_path}/lock
{member(plane, "nova")}
{clients(plane)}"""
