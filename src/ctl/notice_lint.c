/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/notice_lint.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "ctl/readable.h"

/* For all, and for children (Art. 12(1), recital 58). */
#define SENTENCE_WORDS		25
#define SENTENCE_WORDS_CHILDREN	15
#define LIX_MOST		55
#define LIX_MOST_CHILDREN	40
#define WORDS_MOST		1000
#define WORDS_MOST_CHILDREN	300

/* Of what a finding is about. */
#define NONE	((struct span){ NULL, 0 })

enum part { PART_PURPOSE, PART_BASIS, PART_RECIPIENTS, PART_TRANSFERS,
    PART_OFFICER, PART_RETENTION, PART_RIGHTS, PART_WITHDRAW, PART_AUTHORITY,
    PARTS };

static const struct {
	const char *check, *what, *article;
	bool first_layer;	/* has to stand in the text itself */
} parts[PARTS] = {
	[PART_PURPOSE] = { "purpose", "what for", "13(1)(c)", true },
	[PART_BASIS] = { "basis", "the legal basis", "13(1)(c)", false },
	[PART_RECIPIENTS] = { "recipients", "who else gets the data",
	    "13(1)(e)", false },
	[PART_TRANSFERS] = { "transfers", "that data leave the European "
	    "Economic Area", "13(1)(f)", false },
	[PART_OFFICER] = { "officer", "the data protection officer",
	    "13(1)(b)", false },
	[PART_RETENTION] = { "retention", "how long data are kept",
	    "13(2)(a)", false },
	[PART_RIGHTS] = { "rights", "the rights to see, correct and erase",
	    "13(2)(b)", false },
	[PART_WITHDRAW] = { "withdraw", "that consent can be withdrawn at any "
	    "time", "7(3), 13(2)(c)", true },
	[PART_AUTHORITY] = { "authority", "where to complain", "13(2)(d)",
	    false },
};

/* Any of these, between bars, in lower case, tells that the part is there. */
static const struct {
	const char *language;
	const char *words[PARTS];
} languages[] = {
	{ "en", { "newsletter|send you|purpose|we use", "consent|agree|legal "
	  "basis|legitimate interest", "recipient|who else|share|pass on|third "
	  "part|processor|nobody else", "third countr|outside the e|outside "
	  "europe|european economic area", "data protection officer|dpo",
	  "keep|kept|store|retain|delete", "your rights|access|correct|rectif|"
	  "erase", "withdraw|unsubscribe|opt out", "authority|complain" } },
	{ "de", { "newsletter|zweck|zusenden|senden|schicken", "einwillig|"
	  "rechtsgrundlage|berechtigte", "empf\xc3\xa4nger|weitergeb|weitergeg|"
	  "dienstleister|dritte|niemand", "drittl|drittst|au\xc3\x9f" "erhalb|"
	  "wirtschaftsraum", "datenschutzbeauftragt", "speicher|aufbewahr|"
	  "l\xc3\xb6sch", "rechte|auskunft|berichtig|einsehen", "widerruf|"
	  "abmeld|abbestell", "aufsicht|beschwer" } },
	{ "es", { "bolet\xc3\xadn|newsletter|finalidad|enviar", "consentimiento|"
	  "base jur\xc3\xad" "dica|inter\xc3\xa9s leg\xc3\xadtimo",
	  "destinatari|terceros|compart|proveedor|nadie m\xc3\xa1s",
	  "terceros pa\xc3\xads|fuera del|espacio econ\xc3\xb3mico",
	  "delegado de protecci\xc3\xb3n", "conserv|guard|plazo|borra",
	  "derechos|acced|acceso|rectific|suprimir", "retirar|revocar|de baja",
	  "autoridad|reclama" } },
	{ "fr", { "newsletter|infolettre|lettre|finalit\xc3\xa9|envoyer",
	  "consent|base l\xc3\xa9gale|base juridique|int\xc3\xa9r\xc3\xaat "
	  "l\xc3\xa9gitime", "destinataire|tiers|partag|sous-traitant|personne "
	  "d", "pays tiers|hors de|espace \xc3\xa9" "conomique",
	  "d\xc3\xa9l\xc3\xa9gu\xc3\xa9 \xc3\xa0 la protection|dpo", "conserv|"
	  "dur\xc3\xa9" "e|effac", "droits|acc\xc3\xa9" "der|acc\xc3\xa8s|"
	  "rectifi|consulter", "retirer|d\xc3\xa9sabonn|d\xc3\xa9sinscri",
	  "autorit\xc3\xa9|r\xc3\xa9" "clamation|plainte" } },
	{ "it", { "newsletter|finalit\xc3\xa0|inviar|notiziario", "consenso|"
	  "base giuridica|legittimo interesse", "destinatari|terzi|condivid|"
	  "fornitor|nessun altro", "paesi terzi|fuori dall|spazio economico",
	  "responsabile della protezione|dpo", "conserv|durata|cancell",
	  "diritti|acced|accesso|rettific", "revocar|ritirare|disiscri",
	  "autorit\xc3\xa0|reclamo|garante" } },
	{ "sv", { "nyhetsbrev|\xc3\xa4ndam\xc3\xa5l|skicka", "samtyck|"
	  "r\xc3\xa4ttslig grund|ber\xc3\xa4ttigat intresse", "mottagare|tredje "
	  "part|delar|l\xc3\xa4mnar|ingen annan|leverant\xc3\xb6r",
	  "tredjeland|tredje land|utanf\xc3\xb6r e|samarbetsomr\xc3\xa5" "det",
	  "dataskyddsombud", "spara|lagra|beh\xc3\xa5ll|radera",
	  "r\xc3\xa4ttigheter|tillg\xc3\xa5ng|r\xc3\xa4tta|radera",
	  "\xc3\xa5terkalla|dra tillbaka|avregistrera", "tillsyn|klaga|"
	  "klagom\xc3\xa5l" } },
};
#define LANGUAGES	(sizeof(languages) / sizeof(languages[0]))

struct lint {
	struct findings	*findings;
	const struct settings *settings;
	const struct notices *notices;
	const struct list *list;
	const struct notice *notice;	/* that is looked at */
	struct span	 text;
	bool		 has_link;
};

/* ASCII without case; of the rest the bytes. */
static bool
has_text(struct span text, struct span what)
{
	for (; what.len > 0 && text.len >= what.len;
	    text = span_from(text, 1))
		if (span_has_prefix_nocase(text, what))
			return true;
	return false;
}

static bool
has_literal(struct span text, const char *what)
{
	return what != NULL && has_text(text, span_str(what));
}

static bool
has_any(struct span text, const char *words)
{
	while (*words != '\0') {
		size_t len = strcspn(words, "|");

		if (has_text(text, span_of((const unsigned char *)words, len)))
			return true;
		words += len + (words[len] == '|');
	}
	return false;
}

/* "de" of "de-AT" */
static struct span
base_tag(const char *tag)
{
	return span_of((const unsigned char *)tag, strcspn(tag, "-_."));
}

static size_t
language_number(const char *tag)
{
	size_t i = 0;

	while (i < LANGUAGES && !span_is_nocase(base_tag(tag),
	    span_str(languages[i].language)))
		i++;
	return i;
}

/* A part has no text (NONE) where the finding is about none, or no single one. */
static void
tell_about(struct findings *f, const char *list, struct span notice,
    struct span version, struct span language)
{
	findings_about(f, "list", span_str(list));
	findings_about(f, "notice", notice);
	findings_about(f, "version", version);
	findings_about(f, "language", language);
}

/* The notice that the list wants, in whatever version. */
static void
tell_wanted(const struct lint *l, struct span language)
{
	tell_about(l->findings, l->list->id, policy_notice_id(l->list), NONE,
	    language);
}

/* What would have to be edited is another version: texts never change. */
static void
add(const struct lint *l, const char *check, enum finding_status status,
    const char *text, const char *fix)
{
	findings_add(l->findings, check, status, "%s, %s %s %s: %s",
	    l->list->id, l->notice->id, l->notice->version,
	    l->notice->language, text);
	tell_about(l->findings, l->list->id, span_str(l->notice->id),
	    span_str(l->notice->version), span_str(l->notice->language));
	if (status != FINDING_OK && fix != NULL)
		findings_fix(l->findings, "%s, then consentctl notice add FILE "
		    "--id %s --version NEW --language %s", fix, l->notice->id,
		    l->notice->language);
}

static void
lint_reading(const struct lint *l)
{
	bool children = l->list->children;
	struct readable r = readable_measure(l->text);
	unsigned sentence = readable_words_per_sentence(&r);
	unsigned lix = readable_lix(&r);
	unsigned sentence_most = children ? SENTENCE_WORDS_CHILDREN :
	    SENTENCE_WORDS;
	unsigned lix_most = children ? LIX_MOST_CHILDREN : LIX_MOST;
	unsigned words_most = children ? WORDS_MOST_CHILDREN : WORDS_MOST;
	const char *whom = children ? " for children" : "";
	char text[200];

	(void)snprintf(text, sizeof(text), "%zu words, at most %u%s", r.words,
	    words_most, whom);
	add(l, "length", r.words > words_most ? FINDING_FAIL : FINDING_OK,
	    text, "say it shorter");
	(void)snprintf(text, sizeof(text), "%u words a sentence, at most %u%s",
	    sentence, sentence_most, whom);
	add(l, "sentences", sentence > sentence_most ? FINDING_FAIL :
	    FINDING_OK, text, "make two sentences of long ones");
	(void)snprintf(text, sizeof(text), "LIX %u, at most %u%s", lix,
	    lix_most, whom);
	add(l, "lix", lix > lix_most ? FINDING_FAIL : FINDING_OK, text,
	    "use shorter words and sentences");
}

static void
lint_controller(const struct lint *l)
{
	const struct settings *s = l->settings;
	char text[700];

	if (s->controller.name == NULL)
		add(l, "controller", FINDING_FAIL, "controller.name is not "
		    "set, so nobody can tell whether the notice names it", NULL);
	else {
		(void)snprintf(text, sizeof(text), "it %s \"%s\", who is "
		    "responsible (Art. 13(1)(a))", has_literal(l->text,
		    s->controller.name) ? "names" : "does not name",
		    s->controller.name);
		add(l, "controller", has_literal(l->text, s->controller.name) ?
		    FINDING_OK : FINDING_FAIL, text, "name it as "
		    "controller.name has it");
	}
	if (has_literal(l->text, s->controller.email) ||
	    has_literal(l->text, s->controller.address))
		add(l, "contact", FINDING_OK, "it tells how to reach who is "
		    "responsible (Art. 13(1)(a))", NULL);
	else
		add(l, "contact", FINDING_FAIL, "it has neither "
		    "controller.email nor controller.address (Art. 13(1)(a))",
		    "add one of them");
}

/* What only somebody who has it needs to tell. */
static bool
is_wanted(const struct settings *s, enum part part)
{
	switch (part) {
	case PART_RECIPIENTS:
		return s->controller.recipients != NULL;
	case PART_TRANSFERS:
		return s->controller.transfers != NULL;
	case PART_OFFICER:
		return s->controller.dpo != NULL;
	case PART_PURPOSE:
	case PART_BASIS:
	case PART_RETENTION:
	case PART_RIGHTS:
	case PART_WITHDRAW:
	case PART_AUTHORITY:
	case PARTS:
		break;
	}
	return true;
}

/* In the words of the configuration? */
static bool
has_configured(const struct lint *l, enum part part)
{
	const struct settings *s = l->settings;

	return (part == PART_PURPOSE && has_literal(l->text,
	    l->list->purpose)) || (part == PART_RECIPIENTS && has_literal(
	    l->text, s->controller.recipients)) || (part == PART_TRANSFERS &&
	    has_literal(l->text, s->controller.transfers)) || (part ==
	    PART_OFFICER && has_literal(l->text, s->controller.dpo)) ||
	    (part == PART_AUTHORITY && has_literal(l->text,
	    s->controller.authority));
}

static void
lint_part(const struct lint *l, enum part part, size_t language)
{
	bool has = has_configured(l, part) || (language < LANGUAGES &&
	    has_any(l->text, languages[language].words[part]));
	enum finding_status status = FINDING_FAIL;
	char text[300], fix[200];

	/* Details may stand behind a link (WP260, 35). */
	if (has)
		status = FINDING_OK;
	else if (language == LANGUAGES)
		status = FINDING_SKIPPED;
	else if (l->has_link && !parts[part].first_layer)
		status = FINDING_WARN;
	(void)snprintf(text, sizeof(text), "%s %s (Art. %s)%s", has ?
	    "it tells" : status == FINDING_SKIPPED ? "nobody can tell by this "
	    "program whether it tells" : "no word tells", parts[part].what,
	    parts[part].article, status == FINDING_WARN ?
	    "; the page it links to has to" : "");
	(void)snprintf(fix, sizeof(fix), "tell %s", parts[part].what);
	add(l, parts[part].check, status, text, status == FINDING_FAIL ? fix :
	    NULL);
}

static int
lint_text(struct lint *l, const struct notice *notice, struct fail *fail)
{
	struct buf text = BUF_INIT(NOTICE_TEXT_MAX);
	size_t language = language_number(notice->language);
	int rc = notice_text(l->settings, notice->digest, &text, fail);

	l->notice = notice;
	l->text = buf_span(&text);
	l->has_link = has_text(l->text, SPAN("https://"));
	if (rc == 0)
		add(l, "stored", FINDING_FAIL, "its text is gone", NULL);
	if (rc == 1) {
		lint_reading(l);
		lint_controller(l);
		for (int part = 0; part < PARTS; part++)
			if (is_wanted(l->settings, (enum part)part))
				lint_part(l, (enum part)part, language);
	}
	buf_fini(&text);
	return rc == -1 ? -1 : 0;
}

/* Does the notice count for the list? */
static bool
is_of_list(const struct list *list, const struct notice *n)
{
	char name[sizeof(n->id) + sizeof(n->version)];

	(void)snprintf(name, sizeof(name), "%s %s", n->id, n->version);
	return list->notice != NULL && policy_notice_suffices(
	    span_str(list->notice), span_str(name));
}

/* The one of this list and language that was added last, or NULL. */
static const struct notice *
current(const struct lint *l, const char *tag)
{
	const struct notice *found = NULL;

	for (size_t i = 0; i < l->notices->count; i++)
		if (is_of_list(l->list, &l->notices->all[i]) &&
		    span_is_nocase(base_tag(l->notices->all[i].language),
		    base_tag(tag)))
			found = &l->notices->all[i];
	return found;
}

static void
lint_translation(const struct lint *l, const char *tag, const char *why)
{
	struct span base = base_tag(tag);

	if (current(l, tag) != NULL)
		return;
	findings_add(l->findings, "translation", FINDING_FAIL, "%s, \"%s\": "
	    "there is no text in \"%.*s\", %s", l->list->id, l->list->notice,
	    (int)base.len, (const char *)base.p, why);
	tell_wanted(l, base);
	findings_fix(l->findings, "consentctl notice add FILE --id ID "
	    "--version V --language %.*s", (int)base.len,
	    (const char *)base.p);
}

/* Whoever reads a page in a language has to be told in it, and whoever was told
 * in it before. */
static void
lint_translations(const struct lint *l)
{
	const struct settings *s = l->settings;
	struct span id = policy_notice_id(l->list);
	bool has_page = l->list->sign_up && s->web.url != NULL;
	DIR *directory = has_page ? opendir(s->web.languages) : NULL;
	struct dirent *entry;

	if (has_page)
		lint_translation(l, "en", "which the sign-up page has");
	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len > 5 && strcmp(entry->d_name + len - 5, ".lang") == 0 &&
		    strncmp(entry->d_name, "en.", 3) != 0)
			lint_translation(l, entry->d_name,
			    "which the sign-up page has");
	}
	if (directory != NULL)
		(void)closedir(directory);
	for (size_t i = 0; i < l->notices->count; i++) {
		const struct notice *n = &l->notices->all[i];

		if (span_is(id, span_str(n->id)) && !(has_page &&
		    language_number(n->language) < LANGUAGES))
			lint_translation(l, n->language,
			    "which an earlier version has");
	}
}

int
notice_lint_list(struct findings *findings, const struct settings *settings,
    const struct notices *notices, const struct list *list, struct fail *fail)
{
	struct lint l = { .findings = findings, .settings = settings,
	    .notices = notices, .list = list };
	size_t count = 0;

	if (list->notice == NULL) {
		findings_add(findings, "notice", FINDING_FAIL, "%s: the list "
		    "names no notice, so nobody can show what people were "
		    "told (Art. 7(1))", list->id);
		tell_about(findings, list->id, NONE, NONE, NONE);
		findings_fix(findings, "consent-milter.conf: in list \"%s\": "
		    "notice = \"ID MAJOR\";", list->id);
		return 0;
	}
	for (size_t i = 0; i < notices->count; i++) {
		const struct notice *n = &notices->all[i];

		if (!is_of_list(list, n) || current(&l, n->language) != n)
			continue;
		count++;
		if (lint_text(&l, n, fail) == -1)
			return -1;
	}
	if (count == 0) {
		findings_add(findings, "notice", FINDING_FAIL, "%s: notice "
		    "\"%s\" is not stored", list->id, list->notice);
		tell_wanted(&l, NONE);
		findings_fix(findings, "consentctl notice add FILE --id ID "
		    "--version V --language TAG");
		return 0;
	}
	lint_translations(&l);
	return 0;
}
