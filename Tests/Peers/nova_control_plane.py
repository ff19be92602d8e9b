"""The part of a control plane that compute services deal with, made of Nova's own code: its client of the compute RPC,
its objects, and a conductor that runs their methods on a database in a file.

One command a line, one answer each; casts are answered when they are sent. An "id" is repeated.

    {"op": "create", "host": "host-a", "image": {…}}                 a record of an instance, as the API leaves it
    {"op": "begin", "uuid": …, "task_state": "powering-off"}        what the API writes before it sends a request
    {"op": "compute", "method": "stop_instance", "uuid": …, "args": {…}}    ComputeAPI's method of that name
    {"op": "build", "uuid": …, "host": "host-a"}                    what the conductor sends for a new instance; further
                                                                    hosts to try are "alternates"
    {"op": "probe", "host": …}                                      all methods of the client, without arguments
    {"op": "start", "method": …, "uuid": …, "args": {…}}            the same without waiting for an answer
    {"op": "connect", "uuid": …, "volume": …, "connection": {…}}    what the API writes down of a volume
    {"op": "devices", "uuid": …}                                    mappings of volumes, and interfaces
    {"op": "migrate", "uuid": …, "dest": "host-b"}                  the conductor's part of a live migration
    {"op": "resize", "uuid": …, "dest": "host-b", "flavor": {…}}     that of a resize; without a flavor, of a cold migration
    {"op": "confirm", "uuid": …, "migration": …}                    what the API does then; "revert" is the other way
    {"op": "flavors", "uuid": …}                                    what the instance is made of, and was
    {"op": "evacuate", "uuid": …, "dest": "host-b"}                 the API's and the conductor's part of an evacuation
    {"op": "rebuild", "uuid": …, "image": {…}}                      theirs of a rebuild
    {"op": "show", "uuid": …}                                       what the database has
    {"op": "saves"}                                                 what the conductor was asked, since the last time
    {"op": "conductor", "serve": false}                             stops or starts the conductor
    {"op": "services"}                                              records of services and compute nodes
    {"op": "discover"}                                              what an operator does to let hosts be scheduled to
    {"op": "remove", "host": "host-a"}                              what the API does when an operator takes a host out
    {"op": "alter", "uuid": …, "fields": {…}}                       changes a record as if nobody cared
    {"op": "vanish", "uuid": …}                                     the API deletes the instance of a host that is away
    {"op": "event", "uuid": …, "port": …, "status": "completed"}    network-vif-plugged, or another "name", as the API does
    {"op": "heard"}                                                 versioned notifications since the last time (--notifications)
    {"op": "check", "payload": …}                                   what of a notification's payload is not as Nova's
    {"op": "payload", "uuid": …, "request": …}                      what Nova itself would tell of an action on an instance

A value in "args" that is "instance" stands for the object. --cap is [upgrade_levels] compute. With --service the
conductor is Nova's own service in another process, killed rather than stopped, and notes nothing; otherwise its methods
run here. With --cloud it knows the services of cloud_services.py.
"""

import argparse
import inspect
import json
import logging
import os
import re
import sys
import threading
import warnings

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
warnings.simplefilter("ignore")

import nova_conductor  # noqa: E402
import nova_notifications  # noqa: E402

import nova.conf  # noqa: E402
import oslo_messaging  # noqa: E402
from nova import baserpc  # noqa: E402
from nova import context as nova_context  # noqa: E402
from nova import exception  # noqa: E402
from nova import objects, rpc  # noqa: E402
from nova.compute import rpcapi  # noqa: E402
from nova.conductor import manager  # noqa: E402
from nova.db.main import api as db  # noqa: E402
from nova.db.api import api as api_db  # noqa: E402
from nova.objects import base as objects_base  # noqa: E402
from nova.objects import host_mapping  # noqa: E402
from oslo_utils import uuidutils  # noqa: E402

CONF = nova.conf.CONF
PROJECT = "5e2d8c1b7a9f4063b1c4d5e6f7a80912"
USER = "0d9c8b7a6f5e4d3c2b1a09f8e7d6c5b4"


def known(names, fields):
    """Those fields or arguments that this version of Nova has."""
    return {name: value for name, value in fields.items() if name in names}


class Conductor:
    """Nova's own methods, without the parts of its service that need other services; notes what it is asked."""

    target = oslo_messaging.Target(version="3.0")
    _object_dispatch = manager.ConductorManager._object_dispatch
    _class_action = manager.ConductorManager.object_class_action_versions
    _action = manager.ConductorManager.object_action
    _backport = manager.ConductorManager.object_backport_versions

    def __init__(self):
        self.lock = threading.Condition()
        self.asked = []
        self.running = 0

    def run(self, note, body):
        with self.lock:
            self.running += 1
        try:
            return body()
        except Exception as error:
            inner = getattr(error, "exc_info", (None, error))[1]
            note["raised"] = type(inner).__name__
            note["text"] = str(inner)
            raise
        finally:
            with self.lock:
                self.asked.append(note)
                self.running -= 1
                self.lock.notify_all()

    def object_class_action_versions(self, context, objname, objmethod, object_versions, args, kwargs):
        note = dict(
            object=objname, method=objmethod, version=object_versions[objname], request=context.request_id, args=list(args)
        )
        return self.run(note, lambda: self._class_action(context, objname, objmethod, object_versions, args, kwargs))

    def object_action(self, context, objinst, objmethod, args, kwargs):
        primitive = objinst.obj_to_primitive()
        data = primitive["nova_object.data"]
        note = dict(
            object=objinst.obj_name(),
            method=objmethod,
            version=objinst.VERSION,
            request=context.request_id,
            changes={name: data[name] for name in primitive.get("nova_object.changes", [])},
            set=sorted(data),
            expected=kwargs.get("expected_task_state", "anything"),
        )
        return self.run(note, lambda: self._action(context, objinst, objmethod, args, kwargs))

    def object_backport_versions(self, context, objinst, object_versions):
        note = dict(object=objinst.obj_name(), method="backport", version=objinst.VERSION)
        return self.run(note, lambda: self._backport(context, objinst, object_versions))


class ControlPlane:
    def __init__(self, parsed, process):
        self.process = process
        self.compute = rpcapi.ComputeAPI()
        self.conductor = Conductor()
        self.server = None
        self.count = 0
        self.listener = nova_notifications.Listener(["versioned_notifications"]) if parsed.notifications else None
        if parsed.conductor or process is not None:
            self.op_conductor(serve=True)

    def context(self):
        return nova_context.RequestContext(
            user_id=USER, project_id=PROJECT, is_admin=True, roles=["admin", "member"], auth_token="token"
        )

    def instance(self, context, uuid, attributes=("info_cache", "metadata", "system_metadata", "flavor")):
        """Also one that is deleted."""
        return objects.Instance.get_by_uuid(context.elevated(read_deleted="yes"), uuid, expected_attrs=list(attributes))

    def op_conductor(self, serve):
        if self.process is not None:
            (self.process.start if serve else self.process.kill)()
            return {}
        if self.server is not None:
            self.server.stop()
            self.server.wait()
            self.server = None
        if serve:
            self.server = oslo_messaging.get_rpc_server(
                rpc.TRANSPORT,
                oslo_messaging.Target(topic="conductor", server="conductor-1"),
                [self.conductor, baserpc.BaseRPCAPI("conductor", None)],
                executor="threading",
                serializer=rpc.RequestContextSerializer(objects_base.NovaObjectSerializer()),
            )
            self.server.start()
        return {}

    def op_create(self, host=None, image=None, memory_mb=128, root_gb=1, metadata=None, vm_state="building", network=None):
        context = self.context()
        flavor = objects.Flavor(
            context, id=1, flavorid="1", name="m1.tiny", memory_mb=memory_mb, vcpus=1, root_gb=root_gb, ephemeral_gb=0,
            swap=0, rxtx_factor=1.0, vcpu_weight=0, disabled=False, is_public=True, extra_specs={}, projects=[],
            description=None,
        )
        instance = objects.Instance(
            context, uuid=uuidutils.generate_uuid(), user_id=USER, project_id=PROJECT, display_name="vm-one",
            hostname="vm-one", vm_state=vm_state,
            task_state="scheduling" if vm_state == "building" else None, power_state=0, memory_mb=memory_mb, vcpus=1,
            root_gb=root_gb, ephemeral_gb=0, image_ref=(image or {}).get("id", ""), instance_type_id=1,
            metadata=metadata or {}, system_metadata={}, flavor=flavor, old_flavor=None, new_flavor=None,
            config_drive="", availability_zone="nova", launch_index=0, reservation_id="r-1a2b3c4d",
        )
        if host is not None:
            for name, value in known(instance.fields, dict(host=host, node=host, compute_id=1)).items():
                setattr(instance, name, value)
        instance.create()
        objects.BlockDeviceMapping(
            context, instance_uuid=instance.uuid, source_type="image", destination_type="local", device_type="disk",
            boot_index=0, image_id=(image or {}).get("id"), delete_on_termination=True, no_device=False, tag=None,
            uuid=uuidutils.generate_uuid(),
        ).create()
        cell = [each for each in objects.CellMappingList.get_all(context) if not each.is_cell0()][0]
        objects.InstanceMapping(
            context, instance_uuid=instance.uuid, cell_mapping=cell, project_id=PROJECT, user_id=USER, queued_for_delete=False
        ).create()
        if network is not None:
            db.instance_info_cache_update(context, instance.uuid, {"network_info": json.dumps(network)})
        return {"uuid": instance.uuid, "number": instance.id}

    def op_begin(self, uuid, task_state):
        context = self.context()
        instance = self.instance(context, uuid)
        instance.task_state = task_state
        instance.save(expected_task_state=[None])
        return {}

    def action(self, context, uuid, name):
        objects.InstanceAction.action_start(context, uuid, name)

    def limits(self):
        return objects.SchedulerLimits(memory_mb=None, numa_topology=None, disk_gb=None, vcpu=None)

    def selections(self, context, hosts):
        """Hosts as the scheduler names them, with what an instance takes of each."""
        cell = [each for each in objects.CellMappingList.get_all(context) if not each.is_cell0()][0]
        found = []
        for host in hosts:
            node = objects.ComputeNode.get_first_node_by_host_for_old_compat(context, host)
            found.append(objects.Selection(
                compute_node_uuid=node.uuid, service_host=host, nodename=host, cell_uuid=cell.uuid, limits=None,
                allocation_request=json.dumps({"allocations": {node.uuid: {"resources": {"VCPU": 1}}}}),
                allocation_request_version="1.36", availability_zone="nova",
            ))
        return found

    def op_build(
        self, uuid, host, image=None, injected_files=(), admin_password="pAss", networks=(), alternates=(), retry=True
    ):
        context = self.context()
        self.action(context, uuid, "create")
        instance = self.instance(
            context, uuid, ["info_cache", "metadata", "system_metadata", "flavor", "security_groups", "keypairs", "tags"]
        )
        spec = objects.RequestSpec(
            context, instance_uuid=uuid, project_id=PROJECT, user_id=USER, num_instances=1, flavor=instance.flavor,
            image=objects.ImageMeta.from_dict(image or {}), availability_zone=None, ignore_hosts=None,
            force_hosts=None, force_nodes=None, retry=None, limits=self.limits(), instance_group=None,
            requested_destination=None, scheduler_hints={}, security_groups=objects.SecurityGroupList(objects=[]),
            pci_requests=objects.InstancePCIRequests(requests=[]), numa_topology=None, requested_resources=[],
        )
        spec.create()
        self.compute.build_and_run_instance(
            context, instance, host, image or {}, spec,
            {"retry": {"num_attempts": 1, "hosts": [[host, host]]}, "limits": {}} if retry else {"limits": {}},
            admin_password=admin_password, injected_files=list(injected_files),
            requested_networks=objects.NetworkRequestList(objects=[
                objects.NetworkRequest(context, **wish) for wish in networks
            ]), security_groups=["default"],
            block_device_mapping=objects.BlockDeviceMappingList.get_by_instance_uuid(context, uuid), node=host, limits={},
            host_list=self.selections(context, alternates), accel_uuids=[],
        )
        return {"request": context.request_id}

    def op_compute(self, method, uuid=None, args=None, action=None, at=None):
        context = self.context()
        args = dict(args or {})
        if uuid is not None:
            if action is not None:
                self.action(context, uuid, action)
            args["instance"] = self.instance(context, uuid)
            if at is not None:
                args["instance"].host = at
        for name, value in args.items():
            if isinstance(value, dict) and "migration" in value:
                args[name] = objects.Migration.get_by_id(context, value["migration"])
            if isinstance(value, dict) and "volume" in value:
                args[name] = objects.BlockDeviceMapping.get_by_volume_and_instance(context, value["volume"], uuid)
        result = getattr(self.compute, method)(context, **args)
        if isinstance(result, objects_base.NovaObject):
            return {"object": result.obj_name(), "version": result.VERSION, "result": result.obj_to_primitive()["nova_object.data"]}
        return {"result": result, "request": context.request_id}

    def op_start(self, **command):
        """The same without waiting for an answer, which nobody will hear."""
        threading.Thread(target=lambda: self.answer(dict(command, op="compute"), heard=False), daemon=True).start()
        return {}

    def op_connect(self, uuid, volume, connection):
        """What the volume service says of a volume's mapping, as the API writes it down."""
        mapping = objects.BlockDeviceMapping.get_by_volume_and_instance(self.context(), volume, uuid)
        mapping.connection_info = json.dumps(connection)
        mapping.save()
        return {}

    def op_devices(self, uuid):
        context = self.context()
        mappings = objects.BlockDeviceMappingList.get_by_instance_uuid(context, uuid)
        interfaces = objects.VirtualInterfaceList.get_by_instance_uuid(context, uuid)
        return {
            "volumes": [
                {"volume": each.volume_id, "device": each.device_name, "connection": json.loads(each.connection_info or "null")}
                for each in mappings if each.volume_id
            ],
            "interfaces": [{"port": each.uuid, "address": each.address} for each in interfaces],
        }

    def op_probe(self, host):
        """Every method that the client may call, without arguments: what comes of it."""
        text = inspect.getsource(rpcapi.ComputeAPI)
        names = set(re.findall(r"(?:cast|call|rpc_method)\(\s*(?:ctxt|context|cctxt),\s*['\"](\w+)['\"]", text))
        client = rpc.get_client(oslo_messaging.Target(topic="compute", version="6.0")).prepare(server=host, version="6.0")
        answers = {}
        for name in sorted(names):
            try:
                client.call(self.context(), name)
                answers[name] = "answer"
            except Exception as error:
                answers[name] = getattr(error, "exc_type", None) or type(error).__name__
        return {"answers": answers}

    def op_resize(self, uuid, dest, flavor=None, clean_shutdown=False, alternates=()):
        """The conductor's part of a resize, or with the flavor that the instance has, of a cold migration."""
        context = self.context()
        self.action(context, uuid, "resize" if flavor else "migrate")
        instance = self.instance(context, uuid, ["info_cache", "metadata", "system_metadata", "flavor", "pci_requests"])
        wanted = instance.flavor.obj_clone()
        if flavor:
            wanted.id, wanted.flavorid, wanted.name = 2, "2", "m1.other"
            for name, value in flavor.items():
                setattr(wanted, name, value)
        wanted.obj_reset_changes()
        migration = objects.Migration(
            context, source_compute=instance.host, source_node=instance.node, status="pre-migrating",
            migration_type="resize" if flavor else "migration", instance_uuid=uuid, old_instance_type_id=instance.flavor.id,
            new_instance_type_id=wanted.id, hidden=False, cross_cell_move=False, uuid=uuidutils.generate_uuid(), user_id=USER,
            project_id=PROJECT,
        )
        migration.create()
        instance.task_state = "resize_prep"
        instance.save(expected_task_state=[None])
        spec = objects.RequestSpec.get_by_instance_uuid(context, uuid)
        self.compute.prep_resize(
            context, instance, spec.image, wanted, dest, migration, spec, {"retry": {"num_attempts": 1, "hosts": []}, "limits": {}},
            dest, clean_shutdown, self.selections(context, alternates),
        )
        return {"migration": migration.id, "uuid": migration.uuid}

    def op_confirm(self, uuid, migration, wait=False):
        context = self.context()
        self.action(context, uuid, "confirmResize")
        migration = objects.Migration.get_by_id(context, migration)
        migration.status = "confirming"
        migration.save()
        instance = self.instance(context, uuid)
        self.compute.confirm_resize(context, instance, migration, migration.source_compute, cast=not wait)
        return {}

    def op_revert(self, uuid, migration):
        context = self.context()
        self.action(context, uuid, "revertResize")
        instance = self.instance(context, uuid)
        instance.task_state = "resize_reverting"
        instance.save(expected_task_state=[None])
        migration = objects.Migration.get_by_id(context, migration)
        migration.status = "reverting"
        migration.save()
        spec = objects.RequestSpec.get_by_instance_uuid(context, uuid)
        self.compute.revert_resize(context, instance, migration, migration.dest_compute, spec)
        return {}

    def op_flavors(self, uuid):
        instance = self.instance(self.context(), uuid, ["flavor", "system_metadata", "migration_context"])
        fields = {name: getattr(instance, name) for name in ["memory_mb", "vcpus", "root_gb", "instance_type_id"]}
        for name in ["flavor", "old_flavor", "new_flavor"]:
            flavor = getattr(instance, name)
            fields[name] = flavor and flavor.flavorid
        fields["old_vm_state"] = instance.system_metadata.get("old_vm_state")
        fields["context"] = instance.migration_context and instance.migration_context.migration_id
        return fields

    def op_migrate(self, uuid, dest, block_migration=None):
        context = self.context()
        self.action(context, uuid, "live-migration")
        instance = self.instance(context, uuid)
        source = instance.host
        migration = objects.Migration(context, **known(objects.Migration.fields, dict(
            source_compute=source, source_node=source, dest_compute=dest, dest_node=dest, status="accepted",
            migration_type="live-migration", instance_uuid=uuid, old_instance_type_id=1, new_instance_type_id=1,
            hidden=False, cross_cell_move=False, uuid=uuidutils.generate_uuid(), user_id=USER, project_id=PROJECT,
            dest_compute_id=1,
        )))
        migration.create()
        instance.task_state = "migrating"
        instance.save(expected_task_state=[None])
        limits = self.limits()
        try:
            data = self.compute.check_can_live_migrate_destination(
                context, instance, dest, block_migration, None, migration, limits
            )
        except Exception:
            # As the conductor does when no other host is left.
            instance.task_state = None
            instance.save()
            migration.status = "error"
            migration.save()
            raise
        fields = data.obj_to_primitive()["nova_object.data"]
        for vif in data.vifs if "vifs" in data else []:
            vif.host, vif.profile_json, vif.vif_details_json, vif.vif_type, vif.vnic_type = dest, "{}", "{}", "ovs", "normal"
        self.compute.live_migration(context, instance, dest, block_migration, source, migration, data)
        return {"migration": migration.id, "object": data.obj_name(), "version": data.VERSION, "data": fields}

    def remake(self, context, instance, image_ref, host, migration, **more):
        try:
            spec = objects.RequestSpec.get_by_instance_uuid(context, instance.uuid)
        except exception.RequestSpecNotFound:
            spec = None
        parameters = inspect.signature(self.compute.rebuild_instance).parameters
        self.compute.rebuild_instance(context, instance, **known(parameters, dict(
            new_pass="pAss", injected_files=None, image_ref=image_ref,
            orig_image_ref=image_ref and instance.image_ref, orig_sys_metadata=image_ref and {}, bdms=None,
            host=host, node=host, preserve_ephemeral=False, migration=migration, limits=None, request_spec=spec,
            accel_uuids=[], reimage_boot_volume=False, **more
        )))

    def op_evacuate(self, uuid, dest, on_shared_storage=None, target_state=None):
        context = self.context()
        instance = self.instance(context, uuid)
        instance.task_state = "rebuilding"
        instance.save(expected_task_state=None)
        self.action(context, uuid, "evacuate")
        migration = objects.Migration(
            context, source_compute=instance.host, source_node=instance.node, instance_uuid=uuid, status="accepted",
            migration_type="evacuation", uuid=uuidutils.generate_uuid(), user_id=USER, project_id=PROJECT,
        )
        migration.create()
        self.remake(
            context, instance, None, dest, migration, recreate=True, on_shared_storage=on_shared_storage,
            target_state=target_state,
        )
        return {"migration": migration.id}

    def op_rebuild(self, uuid, image):
        context = self.context()
        instance = self.instance(context, uuid)
        instance.task_state = "rebuilding"
        instance.image_ref = image["id"]
        instance.save(expected_task_state=[None])
        self.action(context, uuid, "rebuild")
        self.remake(
            context, instance, image["id"], instance.host, None, recreate=False, on_shared_storage=False, target_state=None
        )
        return {}

    def op_show(self, uuid, migration=None):
        context = self.context().elevated(read_deleted="yes")
        instance = self.instance(context, uuid, [])
        faults = objects.InstanceFaultList.get_by_instance_uuids(context, [uuid])
        actions = objects.InstanceActionList.get_by_instance_uuid(context, uuid)
        events = []
        for action in actions:
            for event in objects.InstanceActionEventList.get_by_action(context, action.id):
                events.append({"event": event.event, "result": event.result, "host": event.host})
        names = ["host", "node", "compute_id", "launched_on", "vm_state", "task_state", "power_state", "progress", "deleted"]
        fields = {name: getattr(instance, name) for name in names if name in instance.fields}
        fields["launched_at"] = str(instance.launched_at) if instance.launched_at else None
        fields["terminated_at"] = str(instance.terminated_at) if instance.terminated_at else None
        fields["faults"] = [{"message": each.message, "code": each.code, "host": each.host} for each in faults]
        fields["events"] = events
        cache = objects.InstanceInfoCache.get_by_instance_uuid(context, uuid) if not instance.deleted else None
        fields["network"] = [
            {"id": vif["id"], "addresses": [ip["address"] for ip in vif.fixed_ips()], "own": vif["preserve_on_delete"]}
            for vif in (cache.network_info if cache else None) or []
        ]
        if migration is not None:
            record = objects.Migration.get_by_id(context, migration)
            fields["migration"], fields["destination"] = record.status, record.dest_compute
        return fields

    def op_services(self):
        context = self.context()
        services, nodes = [], []
        for each in objects.ServiceList.get_by_binary(context, "nova-compute"):
            fields = {name: getattr(each, name) for name in ["host", "topic", "report_count", "version", "disabled", "uuid"]}
            fields["last_seen_up"] = each.last_seen_up and each.last_seen_up.timestamp()
            services.append(fields)
        for each in objects.ComputeNodeList.get_all(context):
            nodes.append(each.obj_to_primitive()["nova_object.data"])
        return {"services": services, "nodes": nodes}

    def op_register(self, host, node=None, uuid=None, version=74):
        """Records that are not this host's making."""
        context = self.context()
        service = objects.Service(context, host=host, binary="nova-compute", topic="compute", report_count=0)
        service.create()
        db.service_update(context, service.id, {"version": version})
        if node is not None:
            objects.ComputeNode(
                context, uuid=uuid or uuidutils.generate_uuid(), host=host, hypervisor_hostname=node, vcpus=1, memory_mb=1,
                local_gb=1, vcpus_used=0, memory_mb_used=0, local_gb_used=0, hypervisor_type="fake", hypervisor_version=1,
                cpu_info="",
            ).create()
        return {}

    def op_remove(self, host):
        """What the API does when an operator deletes the service of a host."""
        context = self.context()
        objects.HostMapping.get_by_host(context, host).destroy()
        objects.Service.get_by_compute_host(context, host).destroy()
        return {}

    def op_discover(self):
        return {"hosts": [each.host for each in host_mapping.discover_hosts(self.context())]}

    def op_alter(self, uuid, fields):
        db.instance_update(self.context(), uuid, fields)
        return {}

    def op_vanish(self, uuid):
        self.instance(self.context(), uuid).destroy()
        return {}

    def op_event(self, uuid, port, status, name="network-vif-plugged"):
        context = self.context()
        event = objects.InstanceExternalEvent(context, instance_uuid=uuid, name=name, tag=port, status=status, data={})
        self.compute.external_instance_event(context, [self.instance(context, uuid)], [event])
        return {}

    def op_heard(self):
        return {"heard": self.listener.take()}

    def op_check(self, payload):
        return {"complaints": nova_notifications.complaints(payload)}

    def op_payload(self, uuid, request):
        context = self.context()
        context.request_id = request
        return {"payload": nova_notifications.expected(context, self.instance(context, uuid))}

    def op_saves(self):
        with self.conductor.lock:
            # What somebody has seen in the database may be noted only in a moment.
            self.conductor.lock.wait_for(lambda: self.conductor.running == 0, 60)
            asked, self.conductor.asked = self.conductor.asked, []
        return {"saves": asked}

    def answer(self, command, heard=True):
        number = command.pop("id", None)
        try:
            fields = getattr(self, "op_" + command.pop("op"))(**command)
        except Exception as error:
            logging.exception("command failed")
            fields = {
                # A class that was rebuilt from a failure has a name of its own, below the one it stands for.
                "raised": type(error).__name__.removesuffix("_Remote"),
                "module": type(error).__module__,
                "text": str(error),
                "code": getattr(error, "code", None),
                "remote": getattr(error, "exc_type", None),
            }
        if heard:
            emit(id=number, **fields)


def emit(**fields):
    sys.stdout.write(json.dumps(fields, default=str) + "\n")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--directory", required=True, help="for the database")
    parser.add_argument("--cap", help="[upgrade_levels] compute")
    parser.add_argument("--service", action="store_true", help="run Nova's own conductor")
    parser.add_argument("--cloud", help="where the cloud's other services are")
    parser.add_argument("--notifications", action="store_true", help="send, and listen to, versioned notifications")
    parser.add_argument("--conductor", action="store_true", help="answer on the conductor's topic")
    parsed = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    file = os.path.join(parsed.directory, "nova.conf")
    with open(file, "w") as text:
        text.write("[DEFAULT]\ntransport_url = %s\nexecutor_thread_pool_size = 1\n" % parsed.url)
        text.write("[database]\nconnection = sqlite:///%s/nova.sqlite?timeout=60\n" % parsed.directory)
        text.write("sqlite_synchronous = false\n")
        text.write("[api_database]\nconnection = sqlite:///%s/api.sqlite?timeout=60\n" % parsed.directory)
        text.write("sqlite_synchronous = false\n")
        if parsed.cloud:
            for group in ["placement", "neutron"]:
                path = {"placement": "placement", "neutron": "network"}[group]
                text.write("[%s]\nauth_type = v3password\nauth_url = %s/identity/v3\n" % (group, parsed.cloud))
                text.write("username = nova\npassword = se/cr et\nuser_domain_name = Default\nproject_name = service\n")
                text.write("project_domain_name = Default\nendpoint_override = %s/%s\n" % (parsed.cloud, path))
        else:
            # There is none; the conductor wants to know where it would be.
            text.write("[placement]\nauth_type = none\nendpoint = http://127.0.0.1:9\n")
        text.write("[oslo_messaging_notifications]\ndriver = %s\n" % ("messagingv2" if parsed.notifications else "noop"))
        text.write("[notifications]\nnotification_format = versioned\nnotify_on_state_change = vm_and_task_state\n")
        if parsed.cap:
            text.write("[upgrade_levels]\ncompute = %s\n" % parsed.cap)
    nova_conductor.read(file)
    # All forks before the first thread.
    nova_conductor.make_databases(parsed.directory, parsed.url)
    process = nova_conductor.process(file) if parsed.service else None
    rpc.init(CONF)
    db.configure(CONF)
    api_db.configure(CONF)
    plane = ControlPlane(parsed, process)
    emit(ready=True)
    while line := sys.stdin.readline():
        plane.answer(json.loads(line))
    sys.stdout.flush()
    os._exit(0)


main()
