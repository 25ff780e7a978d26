# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The fault laboratory; run.py says how to use it.

    faults.py    what goes wrong
    people.py    who sends, clicks and records meanwhile
    world.py     what all that happens to
    wire.py      the network to Redis
    history.py   what was asked and answered, as it happened
    checker.py   what was promised; reads the history, and runs alone
"""
