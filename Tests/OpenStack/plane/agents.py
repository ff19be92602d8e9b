"""Signs of life of the network agents that hosts are said to have: agents.py NEUTRON.CONF HOSTS.json

Neutron binds a port to a host when an agent of one of its drivers has lately reported from there. Operators run that
agent on each host, and it wires what the host plugs in. Here the reports alone are made, with the agents' own client, for
hosts that share one machine: ports are bound, and nobody wires them.

HOSTS.json maps names of hosts to kinds of agents, "linuxbridge" or "openvswitch"; it is read before each round.
"""

import json
import sys
import time

from neutron.agent import rpc as agent_rpc
from neutron.common import config
from neutron.conf.agent import common as agent_options
from neutron_lib import context
from neutron_lib.agent import topics
from oslo_config import cfg

PHYSICAL_NETWORK = "physnet1"
INTERVAL = 10
KINDS = {
    "linuxbridge": dict(
        binary="neutron-linuxbridge-agent",
        agent_type="Linux bridge agent",
        configurations=dict(
            bridge_mappings={}, interface_mappings={PHYSICAL_NETWORK: "eth1"}, tunneling_ip=None, tunnel_types=[], devices=0
        ),
    ),
    "openvswitch": dict(
        binary="neutron-openvswitch-agent",
        agent_type="Open vSwitch agent",
        configurations=dict(
            bridge_mappings={PHYSICAL_NETWORK: "br-ex"}, integration_bridge="br-int", datapath_type="system", tunneling_ip=None,
            tunnel_types=[], ovs_hybrid_plug=False, vhostuser_socket_dir="/var/run/openvswitch", ovs_capabilities={},
        ),
    ),
}  # fmt: skip


def main():
    configuration, hosts = sys.argv[1:]
    config.register_common_config_options()
    agent_options.register_agent_state_opts_helper(cfg.CONF)
    config.init(["--config-file", configuration])
    reports = agent_rpc.PluginReportStateAPI(topics.REPORTS)
    admin = context.get_admin_context_without_session()
    told = set()
    while True:
        try:
            with open(hosts) as file:
                wanted = json.load(file)
        except (OSError, ValueError):
            wanted = {}
        for host, kind in wanted.items():
            state = dict(KINDS[kind], host=host, topic="N/A")
            if (host, kind) not in told:
                state["start_flag"] = True
            try:
                reports.report_state(admin, state, use_call=True)
                told.add((host, kind))
            except Exception as error:
                print("%s: %s" % (host, error), flush=True)
        # New hosts do not wait for the next round.
        for _ in range(INTERVAL * 4):
            time.sleep(0.25)
            try:
                with open(hosts) as file:
                    if json.load(file) != wanted:
                        break
            except (OSError, ValueError):
                pass


if __name__ == "__main__":
    main()
