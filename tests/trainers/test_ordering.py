"""In the graph that really runs, every read of a weight stands before or behind each update of it.

Where an optimization pass lost such an order, a critic's forward pass saw a weight of the next step
once in some hundred steps, and equal runs were not equal.
"""

import sys
from collections import defaultdict

import tensorflow as tf
from tensorflow.python.eager import context

from gan.architectures.dcgan import dcgan
from gan.data import load
from gan.losses import wasserstein
from gan.penalties import wgan_gp
from trainers.distribution import distribute, make_strategy
from trainers.gan import GAN


def node_of(name):
    return name.lstrip("^").partition(":")[0]


def unordered(graph):
    """Pairs (read, update) of one variable of which neither waits for the other."""
    nodes = {node.name: node for node in graph.node}
    waits_for = {
        node.name: [
            parent
            for parent in map(node_of, node.input)
            # A loop's way back is no order within a turn of it.
            if not (node.op == "Merge" and nodes[parent].op == "NextIteration")
        ]
        for node in graph.node
    }
    known = {}

    def ancestors(name):
        if name not in known:
            known[name] = set()
            for parent in waits_for[name]:
                known[name] |= {parent} | ancestors(parent)
        return known[name]

    def variable(node):
        handle = nodes[node_of(node.input[0])]
        while handle.op in ("Enter", "Switch", "Identity", "Merge"):
            handle = nodes[node_of(handle.input[0])]
        return handle.name

    reads, updates = defaultdict(list), defaultdict(list)
    for node in graph.node:
        if node.op == "ReadVariableOp":
            reads[variable(node)].append(node.name)
        elif node.op.startswith("Assign"):
            updates[variable(node)].append(node.name)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10 * len(nodes)))
    assert sum(map(len, updates.values())) > 20
    return [
        (read, update)
        for name, found in updates.items()
        for update in found
        for read in reads[name]
        if update not in ancestors(read) and read not in ancestors(update)
    ]


def test_reads_and_updates_are_ordered():
    source = load("fashion_mnist_small")
    with make_strategy("one").scope():
        trainer = GAN(
            lambda spec: dcgan(spec, width=0.05),
            source.spec,
            loss=wasserstein,  # its gradient does not wait for the logits
            penalty=(wgan_gp,),
            n_critic=2,
            batch_size=4,
        )
    data = distribute(
        trainer.distribute_strategy, source, batch_size=trainer.images_per_step, seed=0, start=0
    )
    eager = context.context()
    eager.ensure_initialized()
    eager.enable_graph_collection()
    try:
        trainer.loop(iter(data), tf.constant(1))
        graphs = eager.export_run_metadata().function_graphs
    finally:
        eager.disable_graph_collection()
    largest = max((g.post_optimization_graph for g in graphs), key=lambda g: len(g.node))
    assert unordered(largest) == []
