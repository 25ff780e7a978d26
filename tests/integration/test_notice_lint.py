# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consentctl notice lint: what is missing in the words that people see."""
import json
import os

from rig import Filter, TestCase, WEEKLY
from rig.process import write_file

CONTROLLER = {"name": "Example AB", "address": "Example Street 1",
              "email": "privacy@example.com", "dpo": "Dana Protector",
              "recipients": "Mail Sender Ltd", "transfers": "the moon",
              "authority": "IMY"}

GOOD = {
    "en": "Example AB will send you a newsletter each week. We do so because "
          "you agree to it. Mail Sender Ltd sends it for us, to the moon. "
          "We keep your data for three years. You can see and correct it: "
          "ask for access at privacy@example.com, or ask Dana Protector. You "
          "can withdraw at any time. You can complain to IMY.",
    "de": "Example AB schickt Ihnen jede Woche den Newsletter. Das tun wir "
          "mit Ihrer Einwilligung. Mail Sender Ltd hilft uns, und the moon. "
          "Wir speichern die Daten drei Jahre. Sie haben ein Recht auf "
          "Auskunft: privacy@example.com oder Dana Protector. Sie k\u00f6nnen "
          "jederzeit widerrufen und sich beschweren.",
    "fr": "Example AB vous envoie la lettre. Vous y consentez. Mail Sender "
          "Ltd et the moon aident. Nous conservons tout trois ans. Vos "
          "droits d'acc\u00e8s : privacy@example.com ou Dana Protector. Vous "
          "pouvez vous d\u00e9sabonner. Une plainte va \u00e0 IMY.",
    "es": "Example AB le va a enviar el bolet\u00edn. Con su consentimiento. "
          "Mail Sender Ltd y the moon ayudan. Lo guardamos tres a\u00f1os. "
          "Sus derechos de acceso: privacy@example.com o Dana Protector. "
          "Puede darse de baja. Puede reclamar a IMY.",
    "it": "Example AB Le vuole inviare la newsletter. Con il consenso. Mail "
          "Sender Ltd e the moon aiutano. La durata \u00e8 di tre anni. I "
          "diritti di accesso: privacy@example.com o Dana Protector. Pu\u00f2 "
          "revocare. Pu\u00f2 fare reclamo a IMY.",
    "sv": "Example AB vill skicka ett nyhetsbrev. Med ditt samtycke. Mail "
          "Sender Ltd och the moon hj\u00e4lper oss. Vi sparar det i tre "
          "\u00e5r. Du har r\u00e4tt till tillg\u00e5ng: privacy@example.com "
          "eller Dana Protector. Du kan dra tillbaka det. Du kan klaga hos "
          "IMY.",
}


class NoticeLint(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.filter = Filter(cls.rig, start=False, controller=CONTROLLER)
        cls.number = 0

    def setUp(self):
        # A notice of its own for each test: texts stay for ever.
        type(self).number += 1
        self.notice = f"n{self.number}"
        self.configure()

    def configure(self, **changes):
        self.filter.settings["lists"] = [
            dict(WEEKLY, notice=f"{self.notice} 1", sign_up=False, **changes),
            {"id": "bare", "name": "Bare",
             "match": [{"sender": "*@bare.example.com"}]}]
        self.filter.write_config()

    def add(self, text, language="en", version="1"):
        path = os.path.join(self.filter.dir, "notice.txt")
        write_file(path, text)
        self.filter.ctl("notice", "add", path, "--id", self.notice, "--version",
                        version, "--language", language)

    def lint(self, *args, code=0):
        done = self.filter.ctl("notice", "lint", "--list", "weekly", "--json",
                               *args, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def failed(self, told, status="fail"):
        return {c["check"] for c in told["checks"] if c["status"] == status}

    def test_a_good_one_in_each_language(self):
        for language, text in GOOD.items():
            self.add(text, language)
        told = self.lint()
        self.assertEqual({c["status"] for c in told["checks"]}, {"ok"})
        self.assertEqual(len(told["checks"]), 14 * len(GOOD))
        text = self.filter.ctl("notice", "lint", "--list", "weekly").stdout
        self.assertRegex(text, rf"(?m)^ok +lix +weekly, {self.notice} 1 sv: LIX "
                         r"[0-9]+, at most 55$")

    @staticmethod
    def about(told):
        return {(c["check"], c["list"], c["notice"], c["version"],
                 c["language"]) for c in told["checks"]}

    def test_each_part_is_missed(self):
        sentences = [s + "." for s in GOOD["en"].rstrip(".").split(". ")]
        misses = [{"controller", "purpose"}, {"basis"},
                  {"recipients", "transfers"}, {"retention"},
                  {"contact", "rights", "officer"}, {"withdraw"},
                  {"authority"}]
        for i, missed in enumerate(misses):
            self.add(" ".join(sentences[:i] + sentences[i + 1:]),
                     version=f"1.{i}")
            told = self.lint(code=1)
            self.assertEqual(self.failed(told), missed, sentences[i])
            for check in told["checks"]:
                self.assertEqual(check["status"] == "fail",
                                 bool(check["fixes"]), check)

    def test_what_is_behind_a_link_is_a_warning(self):
        self.add("Example AB will send you a newsletter. You can withdraw at "
                 "any time. Ask privacy@example.com or see "
                 "https://example.com/privacy.")
        told = self.lint()
        self.assertEqual(told["result"], "warn")
        self.assertEqual(self.failed(told, "warn"),
                         {"basis", "recipients", "transfers", "officer",
                          "retention", "rights", "authority"})

    def test_words_for_adults_and_for_children(self):
        self.add(GOOD["en"] + " " + "Notwithstanding the aforementioned "
                 "stipulations, subscribers acknowledge that personalised "
                 "communications necessitate considerable infrastructure, "
                 "organisational arrangements, contractual agreements and "
                 "documentation obligations. " * 8)
        self.assertEqual(self.failed(self.lint(code=1)), {"lix"})
        self.add(GOOD["en"], version="1.1")
        self.lint()
        # Sentences that adults can take.
        self.add(GOOD["en"].replace(". ", ", and "), version="1.2")
        self.assertEqual(self.failed(self.lint(code=1)), {"sentences", "lix"})
        self.add(GOOD["en"] + " You can read on and see what we do." * 40,
                 version="1.3")
        self.lint()
        self.configure(children=True)
        self.assertEqual(self.failed(self.lint(code=1)), {"length"})

    def test_translations(self):
        self.add(GOOD["en"])
        self.add(GOOD["de"], "de-AT")
        self.add("Dewch", "cy")
        told = self.lint(code=1)
        # Nobody here can tell what is said in Welsh.
        self.assertIn("skipped", {c["status"] for c in told["checks"]})
        self.assertNotIn("translation", self.failed(told))
        # A new major version, in English only.
        self.add(GOOD["en"], version="2")
        self.filter.settings["lists"][0]["notice"] = f"{self.notice} 2"
        self.filter.write_config()
        told = self.lint(code=1)
        self.assertEqual(self.failed(told), {"translation"})
        self.assertEqual([c["fixes"][0].split()[-1] for c in told["checks"]
                          if c["check"] == "translation"], ["de", "cy"])

    def test_about(self):
        """What a finding is about, without reading its text."""
        self.assertEqual(self.about(self.lint(code=1)),
                         {("notice", "weekly", self.notice, None, None)})
        self.add(GOOD["en"], version="1.2")
        self.add(GOOD["de"], "de-AT")
        about = self.about(self.lint())
        for language, version in (("en", "1.2"), ("de-AT", "1")):
            self.assertIn(("purpose", "weekly", self.notice, version,
                           language), about)
        self.assertEqual({a[1:] for a in about},
                         {("weekly", self.notice, "1.2", "en"),
                          ("weekly", self.notice, "1", "de-AT")})
        self.add(GOOD["en"], version="2")
        self.filter.settings["lists"][0]["notice"] = f"{self.notice} 2"
        self.filter.write_config()
        self.assertIn(("translation", "weekly", self.notice, None, "de"),
                      self.about(self.lint(code=1)))
        done = self.filter.ctl("notice", "lint", "--list", "bare", "--json",
                               check=False)
        self.assertEqual(self.about(json.loads(done.stdout)),
                         {("notice", "bare", None, None, None)})

    def test_languages_of_the_sign_up_page(self):
        words = os.path.join(self.filter.dir, "languages")
        os.mkdir(words)
        for name in ("en.lang", "sv.lang", "pt-BR.lang", "README"):
            write_file(os.path.join(words, name), "")
        self.add(GOOD["sv"], "sv")
        self.configure()
        self.filter.settings["lists"][0]["sign_up"] = True
        self.filter.settings["web"] = {"url": "https://news.example.com/my/",
                                       "languages": words}
        self.filter.settings["mail"] = {"from": "news@example.com"}
        self.filter.write_config()
        told = self.lint(code=1)
        self.assertEqual(
            sorted(c["text"].split('"')[3] for c in told["checks"]
                   if c["check"] == "translation"), ["en", "pt"])
        del self.filter.settings["web"], self.filter.settings["mail"]
        self.filter.write_config()

    def test_no_notice(self):
        done = self.filter.ctl("notice", "lint", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "FAIL +notice +weekly: notice .* is not "
                         "stored")
        self.assertRegex(done.stdout, "FAIL +notice +bare: the list names no "
                         "notice")
        for wrong in (["lint", "x"], ["lint", "--id", "a"],
                      ["list", "--list", "weekly"]):
            self.assertEqual(self.filter.ctl("notice", *wrong, check=False)
                             .returncode, 64)
        self.assertEqual(self.filter.ctl("notice", "lint", "--list", "nope",
                                         check=False).returncode, 65)
