"""The services of a small cloud in one process: keystone, placement, glance and neutron, as far as a compute host asks
them, with the conditions that the real ones check. Needs nothing but Python.

Prints {"port": N}; answers one command a line, ends at end-of-file:
  {"do": "log"}                                  the requests so far, without tokens: method, path, status, body
  {"do": "state", "kind"}                        what the services hold of a kind
  {"do": "fail", "method", "path", "status", "count"}  the next requests of that method whose path begins so get that
                                                 status; 0: are done, and their answer is lost; -1: are not answered
  {"do": "expire"}                               no token is valid any more
  {"do": "release"}                              lets unanswered requests go
  {"do": "put", "kind", "id", "value"}           an object: image, data (base64), network, subnet, port, allocation
  {"do": "foreign", "provider"}                  somebody else changes the provider before its next change
"""

import base64
import copy
import hashlib
import http.server
import json
import re
import socketserver
import sys
import threading
import time
import urllib.parse
import uuid

guard = threading.RLock()
released = threading.Event()
log = []
failures = []
foreign = []
tokens = set()
life = 3600
kept = {
    "provider": {}, "allocation": {}, "image": {}, "data": {}, "network": {}, "subnet": {}, "port": {}, "binding": {},
}
KNOWN_TRAITS = {
    "COMPUTE_NODE", "COMPUTE_STATUS_DISABLED", "COMPUTE_IMAGE_TYPE_RAW", "COMPUTE_IMAGE_TYPE_QCOW2",
    "COMPUTE_IMAGE_TYPE_VHD", "COMPUTE_IMAGE_TYPE_VHDX", "OWNER_NOVA", "CUSTOM_OF_AN_OPERATOR",
}


class Refusal(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read_body(self):
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            pieces = []
            while True:
                size = int(self.rfile.readline().strip(), 16)
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
                if size == 0:
                    return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def serve(self):
        try:
            raw = self.read_body()
        except (OSError, ValueError):
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        is_json = "json" in (self.headers.get("Content-Type") or "")
        body = json.loads(raw) if raw and is_json else raw
        entry = {"method": self.command, "path": self.path, "status": 0, "body": body if is_json else len(raw)}
        with guard:
            log.append(entry)
            planned = self.planned(path)
        if planned == -1:
            released.wait()
            self.close_connection = True
            return
        extra = {}
        if planned:
            status, answer = planned, {"error": {"message": "not now"}}
        else:
            try:
                status, answer, extra = self.route(path, urllib.parse.parse_qs(query), body)
            except Refusal as refusal:
                status, answer = refusal.status, {"errors": [{"detail": str(refusal), "status": refusal.status}]}
        entry["status"] = status
        if planned == 0:
            self.close_connection = True
            return
        self.reply(status, answer, extra)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve

    def planned(self, path):
        for plan in failures:
            if plan["count"] > 0 and plan["method"] == self.command and path.startswith(plan["path"]):
                plan["count"] -= 1
                return plan["status"]
        return None

    def reply(self, status, answer, extra):
        data = answer if isinstance(answer, bytes) else (b"" if answer is None else json.dumps(answer).encode())
        first = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if isinstance(answer, bytes) and wanted and status == 200 and int(wanted[1]) < len(data):
            first = int(wanted[1])
            status, extra = 206, {**extra, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        if status != 204:
            self.wfile.write(data[first:])

    # Who asks, and for what.

    def route(self, path, query, body):
        with guard:
            if path == "/identity/v3/auth/tokens":
                return self.token(body)
            if self.headers.get("X-Auth-Token") not in tokens:
                raise Refusal(401, "The request you have made requires authentication.")
            for prefix, service in (
                ("/placement", self.placement), ("/image", self.image), ("/network", self.network)
            ):
                if path.startswith(prefix + "/"):
                    return service(path[len(prefix):].strip("/").split("/"), query, body)
        raise Refusal(404, "no such path")

    def token(self, body):
        identity = body["auth"]["identity"]["password"]["user"]
        scope = body["auth"].get("scope", {}).get("project", {})
        if (identity["name"], identity["password"], identity["domain"]["name"]) != ("nova", "se/cr et", "Default"):
            raise Refusal(401, "The request you have made requires authentication.")
        if scope.get("name") != "service":
            raise Refusal(401, "no such project")
        token = uuid.uuid4().hex
        tokens.add(token)
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        catalog = [
            {"type": kind, "name": name, "endpoints": [
                {"interface": "public", "region_id": "RegionOne", "url": f"{base}/{kind}"},
                {"interface": "admin", "region_id": "RegionOne", "url": "http://127.0.0.1:1/"},
                {"interface": "public", "region_id": "RegionTwo", "url": "http://127.0.0.1:1/two"},
            ]} for kind, name in (("placement", "placement"), ("image", "glance"), ("network", "neutron"))
        ]
        expires = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + life))
        return 201, {"token": {"expires_at": expires, "catalog": catalog}}, {"X-Subject-Token": token}

    # Placement

    def placement(self, parts, query, body):
        # Those that hosts and Nova's conductor ask for; what is told of allocations is the same in both.
        if self.headers.get("OpenStack-API-Version") not in ("placement 1.28", "placement 1.36"):
            raise Refusal(406, "another version is expected")
        providers, allocations = kept["provider"], kept["allocation"]
        if parts[0] == "traits":
            wanted = query["name"][0].removeprefix("in:").split(",")
            return 200, {"traits": sorted(KNOWN_TRAITS.intersection(wanted))}, {}
        if parts[0] == "allocations":
            return self.allocations(parts, body)
        if self.command == "POST":
            if body["uuid"] in providers or any(p["name"] == body["name"] for p in providers.values()):
                raise Refusal(409, "Conflicting resource provider")
            providers[body["uuid"]] = {"name": body["name"], "generation": 0, "inventories": {}, "traits": []}
            return 200, {"uuid": body["uuid"], "generation": 0}, {}
        if parts[1] not in providers:
            raise Refusal(404, "No resource provider with uuid found")
        provider = providers[parts[1]]
        what = parts[2] if len(parts) > 2 else None
        if what is None:
            return 200, {"uuid": parts[1], "name": provider["name"], "generation": provider["generation"]}, {}
        if what == "allocations":
            held = {
                consumer: {"resources": entry["allocations"][parts[1]]["resources"]}
                for consumer, entry in allocations.items() if parts[1] in entry["allocations"]
            }
            return 200, {"allocations": held, "resource_provider_generation": provider["generation"]}, {}
        if self.command == "PUT":
            if parts[1] in foreign:
                foreign.remove(parts[1])
                provider["generation"] += 1
            if body["resource_provider_generation"] != provider["generation"]:
                raise Refusal(409, "resource provider generation conflict")
            if what == "traits" and not KNOWN_TRAITS.issuperset(body["traits"]):
                raise Refusal(400, "No such trait")
            provider[what] = body[what]
            provider["generation"] += 1
        return 200, {what: provider[what], "resource_provider_generation": provider["generation"]}, {}

    def allocations(self, parts, body):
        allocations = kept["allocation"]
        if self.command == "POST":
            for consumer, entry in body.items():
                self.check_consumer(consumer, entry)
            for consumer, entry in body.items():
                self.allocate(consumer, entry)
            return 204, None, {}
        consumer = parts[1]
        if self.command == "GET":
            entry = allocations.get(consumer)
            if entry is None:
                return 200, {"allocations": {}}, {}
            return 200, {
                "allocations": {p: {**a, "generation": 1} for p, a in entry["allocations"].items()},
                "consumer_generation": entry["generation"], "project_id": "project", "user_id": "user",
            }, {}
        if self.command == "DELETE":
            if allocations.pop(consumer, None) is None:
                raise Refusal(404, "No allocations for consumer")
            return 204, None, {}
        self.check_consumer(consumer, body)
        self.allocate(consumer, body)
        return 204, None, {}

    @staticmethod
    def check_consumer(consumer, entry):
        if set(entry) != {"allocations", "consumer_generation", "project_id", "user_id"}:
            raise Refusal(400, "JSON does not validate")
        present = kept["allocation"].get(consumer)
        if entry["consumer_generation"] != (present["generation"] if present else None):
            raise Refusal(409, "consumer generation conflict")

    @staticmethod
    def allocate(consumer, entry):
        if not entry["allocations"]:
            kept["allocation"].pop(consumer, None)
            return
        for provider in entry["allocations"]:
            if provider not in kept["provider"]:
                raise Refusal(400, "unknown provider")
        generation = (entry["consumer_generation"] or 0) + 1
        kept["allocation"][consumer] = {"allocations": entry["allocations"], "generation": generation}

    # Glance

    def image(self, parts, _, body):
        if parts[:2] != ["v2", "images"] or parts[2] not in kept["image"]:
            raise Refusal(404, "No image found")
        image = kept["image"][parts[2]]
        if parts[3:] == ["file"]:
            if self.command == "PUT":
                if image["status"] != "queued":
                    raise Refusal(409, "Image status transition is not allowed")
                if not image.get("disk_format") or not image.get("container_format"):
                    raise Refusal(400, "Properties disk_format, container_format must be set prior to saving data.")
                kept["data"][parts[2]] = base64.b64encode(body).decode()
                image.update(status="active", size=len(body), checksum=hashlib.md5(body).hexdigest())
                return 204, None, {}
            data = base64.b64decode(kept["data"][parts[2]])
            return 200, data, {"Content-Type": "application/octet-stream", "Content-MD5": image.get("checksum", "")}
        if self.command == "DELETE":
            del kept["image"][parts[2]]
            return 204, None, {}
        if self.command == "PATCH":
            if self.headers.get("Content-Type") != "application/openstack-images-v2.1-json-patch":
                raise Refusal(415, "unsupported media type")
            for change in body:
                image[change["path"].lstrip("/")] = change["value"]
        return 200, image, {}

    # Neutron

    def network(self, parts, query, body):
        if parts[0] != "v2.0":
            raise Refusal(404, "no such version")
        if parts[1] == "extensions":
            return 200, {"extensions": []}, {}
        kind = {"ports": "port", "networks": "network", "subnets": "subnet"}.get(parts[1])
        if kind is None:
            raise Refusal(404, "The resource could not be found.")
        things = kept[kind]
        if len(parts) > 3 and parts[3] == "bindings":
            return self.bindings(parts)
        if len(parts) == 2 and self.command == "POST":
            return self.create_port(body["port"])
        if len(parts) == 2:
            found = [
                thing for thing in things.values()
                if all(thing.get(key) in values for key, values in query.items() if key != "fields")
            ]
            return 200, {kind + "s": found}, {}
        if parts[2] not in things:
            raise Refusal(404, f"{kind} {parts[2]} could not be found.")
        thing = things[parts[2]]
        if self.command == "DELETE":
            del things[parts[2]]
            return 204, None, {}
        if self.command == "PUT":
            thing.update(body[kind])
            if "binding:host_id" in body[kind]:
                self.bind(thing)
        return 200, {kind: thing}, {}

    @staticmethod
    def bind(port):
        host = port.get("binding:host_id") or ""
        port["binding:host_id"] = host
        port["binding:vif_type"] = (
            "unbound" if not host else "binding_failed" if host.startswith("unbindable") else "ovs"
        )
        port["binding:vif_details"] = {"port_filter": True, "bridge_name": "br-int"} if host else {}

    def create_port(self, wanted):
        network = kept["network"].get(wanted["network_id"])
        if network is None:
            raise Refusal(404, "Network could not be found.")
        number = len(kept["port"]) + 10
        port = {
            "id": str(uuid.uuid4()), "mac_address": f"fa:16:3e:00:00:{number:02x}", "status": "DOWN",
            "binding:vnic_type": "normal", "binding:profile": {}, "fixed_ips": [
                {"subnet_id": subnet, "ip_address": f"10.0.0.{number}"} for subnet in network["subnets"]
            ], **wanted,
        }
        self.bind(port)
        kept["port"][port["id"]] = port
        return 201, {"port": port}, {}

    def bindings(self, parts):
        port = kept["port"].get(parts[2])
        if port is None:
            raise Refusal(404, "Port could not be found.")
        bindings = kept["binding"].setdefault(parts[2], [])
        if parts[5:] == ["activate"]:
            if port["binding:host_id"] == parts[4]:
                raise Refusal(409, "Binding for port on host is already active.")
            bindings.remove(parts[4])
            bindings.append(port["binding:host_id"])
            port["binding:host_id"] = parts[4]
            return 200, {"binding": {"host": parts[4]}}, {}
        if self.command == "DELETE":
            if parts[4] not in bindings:
                raise Refusal(404, "Binding could not be found.")
            bindings.remove(parts[4])
            return 204, None, {}
        raise Refusal(404, "no such path")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def command(line):
    global life
    order = json.loads(line)
    what = order["do"]
    with guard:
        if what == "log":
            return {"log": copy.deepcopy(log)}
        if what == "state":
            return {"state": {order["kind"]: copy.deepcopy(kept[order["kind"]])}}
        if what == "fail":
            failures.append(order)
        elif what == "heal":
            failures.clear()
        elif what == "expire":
            tokens.clear()
        elif what == "life":
            life = order["seconds"]
        elif what == "release":
            released.set()
        elif what == "foreign":
            foreign.append(order["provider"])
        elif what == "put":
            if order["value"] is None:
                kept[order["kind"]].pop(order["id"], None)
            else:
                kept[order["kind"]][order["id"]] = order["value"]
    return {}


def main():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    for line in sys.stdin:
        print(json.dumps(command(line)), flush=True)


if __name__ == "__main__":
    main()
