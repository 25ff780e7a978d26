# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consent-web with the configuration of a Filter, and raw HTTP to it."""
import os
import re
import signal

from .filter import program
from .http import ask, read_numbers, scrape
from .process import Service, accepts, connect, free_ports, read_text


class Web:
    """Web(rig, filter, unix=False): consent-web beside this filter; with
    metrics=True it has .metrics, the address of those, and .numbers().

    The filter's settings are taken over with web.listen; written anew before
    the filter reads them again.
    """

    def __init__(self, rig, filter_, unix=False, start=True,
                 metrics=False):
        self.filter = filter_
        self.log_path = os.path.join(filter_.dir, "web.log")
        if unix:
            self.address = os.path.join(filter_.dir, "web.sock")
            listen = f"unix:{self.address}"
        else:
            self.address = ("127.0.0.1", free_ports(1)[0])
            listen = "%s:%d" % self.address
        filter_.settings["web"] = {
            **filter_.settings.get("web", {}),
            "listen": listen,
            "languages": os.path.realpath(os.path.join(
                os.path.dirname(__file__), "..", "..", "conf", "languages"))}
        filter_.settings["web"].setdefault(
            "control", os.path.join(filter_.dir, "web.control"))
        if metrics:
            self.metrics = ("127.0.0.1", free_ports(1)[0])
            filter_.settings["web"]["metrics"] = "%s:%d" % self.metrics
        filter_.write_config()
        rig.add_log("consent-web", self.log_path)
        self.service = None
        rig.on_close(self._close)
        if start:
            self.start()

    def start(self):
        self.service = Service([program("consent-web"), "-c",
                                self.filter.config_path], self.log_path)
        self.service.wait_ready(lambda: accepts(self.address), 30)

    def stop(self):
        self.service.signal(signal.SIGTERM)
        self.service.cont()
        return self.service.popen.wait(20)

    def kill9(self):
        self.service.kill9()

    def log(self):
        return read_text(self.log_path)

    def _close(self):
        if self.service is not None and self.service.is_running():
            status = self.stop()
            if status != 0:
                raise AssertionError(f"consent-web ended with {status}:\n"
                                     f"{self.log()[-4000:]}")
        found = re.search(r"(ERROR: |WARNING: )\w*Sanitizer|runtime error:",
                          self.log())
        if found:
            raise AssertionError("sanitizer report:\n" +
                                 self.log()[found.start():][:6000])

    def link(self, address, list_id="weekly"):
        """The path of this person's link."""
        url = self.filter.ctl("token", "--list", list_id,
                              address).stdout.strip()
        return "/" + url.split("/", 3)[3]

    def connect(self, timeout=20):
        return connect(self.address, timeout)

    def raw(self, data, timeout=20, address=None):
        """Sends these bytes and reads to the end of the connection."""
        return ask(address or self.address, data, timeout)

    def request(self, method, target, body=None, headers=()):
        """One request with Connection: close."""
        lines = [f"{method} {target} HTTP/1.1", "Host: news.example.com",
                 "Connection: close", *headers]
        if body is not None and not any(
                h.lower().startswith("transfer-encoding") for h in headers):
            lines.append(f"Content-Length: {len(body)}")
        return self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" +
                        (body or b""))

    def ask_monitor(self, method="GET", target="/metrics"):
        return scrape(self.metrics, method, target)

    def numbers(self):
        """What Prometheus reads: {'name{labels}': number}."""
        return read_numbers(self.ask_monitor().body)

    def click(self, target):
        """What a mailbox provider sends."""
        return self.request(
            "POST", target, b"List-Unsubscribe=One-Click",
            ["Content-Type: application/x-www-form-urlencoded"])
