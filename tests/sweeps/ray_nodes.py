"""A Ray cluster of three nodes on this machine, in a process of its own.

It prints the address of the head node and reads names of nodes to kill, one a line;
the cluster ends with its input. The process of a test never imports Ray.
"""

import os
import sys
import tempfile

MEMORY = 100 * 2**20  # Bytes for objects on each node; Ray's minimum is 75 MiB.


def main():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Read on import.
    from ray.cluster_utils import Cluster

    # A short name: sockets are in it, and their paths have a limit.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as path:
        os.environ["TMPDIR"] = path  # For what nodes and killed slots leave.
        os.mkdir(f"{path}/ray")  # Ray takes it for granted there.
        shared = {"num_cpus": 1, "object_store_memory": MEMORY, "temp_dir": path}
        head = {**shared, "node_name": "node-0", "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            nodes = {
                name: cluster.add_node(node_name=name, **shared)
                for name in ("node-1", "node-2")
            }
            print(cluster.address, flush=True)
            for line in sys.stdin:
                cluster.remove_node(nodes.pop(line.strip()), allow_graceful=False)
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    main()
