# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What contrib/monitoring has for Prometheus and Grafana, against the real
daemons and a real Prometheus."""
import json
import os
import re
import subprocess
import urllib.parse

from rig import (Filter, Redis, Service, TestCase, Web, find_program,
                 free_ports, read_text, run, wait_for, write_file)
from rig.http import ask, scrape

CONTRIB = os.path.realpath(os.path.join(
    os.path.dirname(__file__), "..", "..", "contrib", "monitoring"))


def contrib(name):
    return read_text(os.path.join(CONTRIB, name))


class Monitoring(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, metrics=True)
        secret = os.path.join(cls.filter.dir, "crm.secret")
        write_file(secret, "whsec_" + "A" * 43 + "=\n", 0o600)
        # Nobody listens there.
        cls.filter.settings["webhooks"] = [{
            "name": "crm", "secret_file": secret,
            "url": f"http://127.0.0.1:{free_ports(1)[0]}/"}]
        cls.filter.write_config()
        cls.filter.start()
        cls.web = Web(cls.rig, cls.filter, metrics=True)
        cls.filter.grant("a@example.org")
        cls.port = free_ports(1)[0]

    def names(self):
        found = set()
        for address in self.filter.metrics, self.web.metrics:
            found |= {re.split("[{ ]", line)[0] for line in
                      scrape(address).body.decode().splitlines()
                      if not line.startswith("#")}
        return found

    def test_names(self):
        """Dashboard and rules use no metric that nobody exports."""
        exported = self.names()
        for name, more_than in (("dashboard.json", 5), ("alerts.yml", 5),
                                ("alerts_test.yml", 5),
                                ("alerts_long_test.yml", 0)):
            used = set(re.findall(r"\bconsent_(?:milter|web)_[a-z0-9_]+",
                                  contrib(name)))
            self.assertGreater(len(used), more_than, name)
            self.assertEqual(used - exported, set(), name)

    def test_dashboard(self):
        dashboard = json.loads(contrib("dashboard.json"))
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                self.assertEqual(target["datasource"]["uid"],
                                 "${datasource}")

    def test_rules(self):
        promtool = find_program("promtool")
        run([promtool, "check", "config",
             os.path.join(CONTRIB, "prometheus.yml")])
        done = subprocess.run([promtool, "test", "rules", "alerts_test.yml",
                               "alerts_long_test.yml"],
                              cwd=CONTRIB, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    # -- Prometheus

    def start_prometheus(self):
        directory = self.rig.subdir("prometheus")
        write_file(os.path.join(directory, "alerts.yml"), re.sub(
            r"for: \d+[md]", "for: 0s", contrib("alerts.yml")))
        text = contrib("prometheus.yml").replace("15s", "1s")
        for port, daemon in ((9892, self.filter), (9092, self.web)):
            self.assertIn(f"127.0.0.1:{port}", text)
            text = text.replace(f"127.0.0.1:{port}",
                                "%s:%d" % daemon.metrics)
        config = os.path.join(directory, "prometheus.yml")
        write_file(config, text)
        log = os.path.join(directory, "prometheus.log")
        self.rig.add_log("prometheus", log)
        service = Service(
            [find_program("prometheus"), f"--config.file={config}",
             f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], log)
        self.addCleanup(service.stop)
        service.wait_ready(lambda: self.is_ready(), 60)

    def is_ready(self):
        try:
            return self.get("/-/ready").status == 200
        except OSError:
            return False

    def get(self, path):
        return ask(("127.0.0.1", self.port), f"GET {path} HTTP/1.0\r\n"
                   "Host: x\r\n\r\n".encode())

    def api(self, path):
        return json.loads(self.get("/api/v1/" + path).body)["data"]

    def firing(self):
        return {a["labels"]["alertname"] for a in self.api("alerts")["alerts"]
                if a["state"] == "firing"}

    def query(self, expression):
        return self.api("query?query=" + urllib.parse.quote(expression))[
            "result"]

    def test_prometheus(self):
        self.start_prometheus()
        wait_for(lambda: [t["health"] for t in
                          self.api("targets")["activeTargets"]] ==
                 ["up", "up"], 60, "both targets up")
        groups = self.api("rules")["groups"]
        self.assertGreater(len(groups[0]["rules"]), 10)
        # What the panels ask for is what Prometheus understands.
        for panel in json.loads(contrib("dashboard.json"))["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"].replace("$instance", ".*") \
                    .replace("$__rate_interval", "1m")
                self.query(expression)
        client = self.filter.client()
        self.addCleanup(client.close)
        client.connect()
        client.mail("<news@news.example.com>")
        client.rcpt("<a@example.org>")
        wait_for(lambda: self.query(
            'consent_milter_decisions_total{list="weekly",action="accept",'
            'reason="granted"} > 0'), 60, "the decision")
        self.assertNotIn("ConsentStoreUnreachable", self.firing())
        self.redis.stop()
        try:
            wait_for(lambda: "ConsentStoreUnreachable" in self.firing(), 60,
                     "the alert")
            self.assertNotIn("ConsentMilterDown", self.firing())
        finally:
            self.redis.start()
        wait_for(lambda: "ConsentStoreUnreachable" not in self.firing(), 60,
                 "the end of the alert")
        self.filter.stop()
        try:
            wait_for(lambda: "ConsentMilterDown" in self.firing(), 60,
                     "the alert for the filter")
        finally:
            self.filter.start()


if __name__ == "__main__":
    import unittest
    unittest.main()
