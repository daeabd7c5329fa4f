"""A Ray cluster of a head without CPUs and nodes with one, in a process of its own.

Arguments name the nodes. It prints the address of the head; then each line it reads
names a node that another one replaces. The cluster ends with its input.
"""

import os
import sys
import tempfile

MEMORY = 100 * 2**20  # Bytes for objects on each node; Ray's minimum is 75 MiB.


def main():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Read on import.
    # How soon a worker notices that its node is gone.
    os.environ["RAY_raylet_death_check_interval_milliseconds"] = "50"  # noqa: SIM112
    from ray.cluster_utils import Cluster

    # A short name: sockets are in it, and their paths have a limit.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as path:
        os.environ["TMPDIR"] = path  # For what nodes and killed workers leave.
        os.mkdir(f"{path}/ray")  # Ray takes it for granted there.
        shared = {"object_store_memory": MEMORY, "temp_dir": path}
        head = {**shared, "num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            nodes = {
                name: cluster.add_node(node_name=name, num_cpus=1, **shared)
                for name in sys.argv[1:]
            }
            print(cluster.address, flush=True)
            for line in sys.stdin:
                cluster.remove_node(nodes[line.strip()], allow_graceful=False)
                cluster.add_node(num_cpus=1, **shared)
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    main()
