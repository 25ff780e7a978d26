# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Headless Chromium, driven through its DevTools pipe."""
import base64
import json
import os
import re
import select
import shutil
import subprocess
import time

from .process import RigError, find_program, wait_for


class _PageChanged(RigError):
    """What was asked has no answer: another page came meanwhile."""


class Browser:
    """Browser(rig, language, width): one tab, script switched off.

        open(url)     loads a page; .title .text() .language()
        press(key)    "Tab" or "Enter", as from a keyboard
        click(selector)
        focused()     the text of what has the focus
        names(role)   what a screen reader calls the elements of that role
        speak(language) dark(is_dark) resize(width)   from the next page on
        screenshot(path)
    """

    def __init__(self, rig, language="en", width=1000, height=800):
        self._next = 0
        self._buffer = b""
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        profile = rig.subdir("chromium")

        def pipes():
            # in order, for one may be the number of the other
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)
        self._popen = subprocess.Popen(
            [find_program("chromium"), "--headless", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--remote-debugging-pipe",
             f"--user-data-dir={profile}", f"--accept-lang={language}",
             f"--window-size={width},{height}", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        rig.on_close(lambda: self._close(profile))
        self._session = None
        target = wait_for(self._page, 30, "a tab of Chromium")
        self._session = self._call("Target.attachToTarget", targetId=target,
                                   flatten=True)["sessionId"]
        self._call("Page.enable")
        self._call("Emulation.setDeviceMetricsOverride", width=width,
                   height=height, deviceScaleFactor=1, mobile=width < 600)

    def _page(self):
        for info in self._call("Target.getTargets")["targetInfos"]:
            if info["type"] == "page":
                return info["targetId"]
        return None

    def _close(self, profile):
        self._popen.kill()
        self._popen.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(profile, ignore_errors=True)

    def _read(self, timeout):
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise RigError("Chromium does not answer")
            more = os.read(self._in, 65536)
            if not more:
                raise RigError("Chromium has ended")
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _call(self, method, **params):
        self._next += 1
        message = {"id": self._next, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read(30)
            if answer.get("id") == self._next:
                if "error" in answer:
                    text = f"{method}: {answer['error']}"
                    if re.search("navigated|context", text):
                        raise _PageChanged(text)
                    raise RigError(text)
                return answer["result"]

    def _evaluate(self, expression):
        result = self._call("Runtime.evaluate", expression=expression,
                            returnByValue=True)
        return result["result"].get("value")

    def evaluate(self, expression):
        """For looking only, at the next page if one comes meanwhile: pages run
        without script of their own."""
        end = time.monotonic() + 30
        while True:
            try:
                return self._evaluate(expression)
            except _PageChanged:
                if time.monotonic() > end:
                    raise

    def open(self, url):
        self._call("Emulation.setScriptExecutionDisabled", value=True)
        self._call("Page.navigate", url=url)
        self.wait_loaded(url)

    def wait_loaded(self, url=None):
        wait_for(lambda: self.evaluate("document.readyState") == "complete"
                 and (url is None or self.evaluate("location.href") == url),
                 30, f"{url} to load")

    def text(self):
        # Between two pages there is none.
        return self.evaluate("document.body ? document.body.innerText : ''") \
            or ""

    def focused(self):
        return self.evaluate("document.activeElement.innerText")

    def names(self, role):
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [node["name"]["value"] for node in nodes
                if not node["ignored"] and node["role"]["value"] == role]

    def speak(self, language):
        self._call("Network.enable")
        self._call("Network.setExtraHTTPHeaders",
                   headers={"Accept-Language": language})

    def dark(self, is_dark):
        self._call("Emulation.setEmulatedMedia", features=[{
            "name": "prefers-color-scheme",
            "value": "dark" if is_dark else "light"}])

    def resize(self, width, height=800):
        self._call("Emulation.setDeviceMetricsOverride", width=width,
                   height=height, deviceScaleFactor=1, mobile=width < 600)

    def click(self, selector):
        try:
            self._evaluate(f"document.querySelector('{selector}').click()")
        except _PageChanged:
            pass                # that is what a click is for

    def press(self, key):
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key,
                       code=key, windowsVirtualKeyCode=code,
                       **(text if kind == "keyDown" else {}))

    def screenshot(self, path):
        data = self._call("Page.captureScreenshot")["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
