"""Asks a host for an instance with the library that OpenStack's services use: demo_client.py URL HOST INFO.json"""

import json
import sys

import oslo_messaging
from oslo_config import cfg

url, host, file = sys.argv[1:]
wanted = json.load(open(file))
transport = oslo_messaging.get_rpc_transport(cfg.CONF, url)
target = oslo_messaging.Target(exchange="nova", topic="compute", server=host, version="1.0")
client = oslo_messaging.get_rpc_client(transport, target, timeout=10)
info = client.call({}, "get_info", instance={"uuid": wanted["uuid"], "name": wanted["name"]})
print("\n".join("%-12s %s" % item for item in info.items()))
