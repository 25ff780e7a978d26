# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The fault laboratory; run.py says how to use it.

    faults.py    what goes wrong; in a cluster: faults_cluster.py, and where a
                 replica is read from: faults_replica.py
    people.py    who sends, clicks and records meanwhile
    world.py     what all that happens to
    wire.py      the network to Redis
    nodes.py     a Redis Cluster with such networks
    history.py   what was asked and answered, as it happened
    checker.py   what was promised; reads the history, and runs alone
"""
