sbin_PROGRAMS += src/webd/consent-web
src_webd_consent_web_SOURCES = \
	src/webd/courier.c src/webd/courier.h \
	src/webd/eraser.c src/webd/eraser.h \
	src/webd/exchange.c src/webd/exchange.h \
	src/webd/jobs.c src/webd/jobs.h \
	src/webd/letter.c src/webd/letter.h \
	src/webd/limit.c src/webd/limit.h \
	src/webd/main.c \
	src/webd/metrics.c src/webd/metrics.h \
	src/webd/monitor.c src/webd/monitor.h \
	src/webd/mydata.c \
	src/webd/page.c src/webd/page.h \
	src/webd/program.c src/webd/program.h \
	src/webd/recorder.c src/webd/recorder.h \
	src/webd/server.c src/webd/server.h \
	src/webd/session.c src/webd/session.h \
	src/webd/signup.c \
	src/webd/site.c src/webd/site.h \
	src/webd/target.c src/webd/target.h \
	src/webd/texts.c src/webd/texts.h \
	src/webd/unsubscribe.c \
	src/webd/visits.c src/webd/visits.h \
	src/webd/webhook.c src/webd/webhook.h \
	src/webd/webhook_body.c src/webd/webhook_body.h \
	src/webd/wording.c src/webd/wording.h \
	src/webd/words.c src/webd/words.h
src_webd_consent_web_LDADD = $(MONITOR_LIBS) $(RIGHTS_LIBS) src/settings/libsettings.a \
	$(LEDGER_LIBS) $(CONSENT_LIBS) $(NET_LIBS) \
	$(LIBCONFIG_LIBS) $(HIREDIS_LIBS) $(TLS_LIBS) \
	$(MICROHTTPD_LIBS) $(SYSTEMD_LIBS)
dist_man_MANS += src/webd/consent-web.8

languagesdir = $(datadir)/consent-milter/languages
dist_languages_DATA = conf/languages/de.lang conf/languages/en.lang \
	conf/languages/es.lang conf/languages/fr.lang \
	conf/languages/it.lang conf/languages/sv.lang
# English is built in, as a C string.
BUILT_SOURCES += src/webd/english.inc
CLEANFILES += src/webd/english.inc
src/webd/english.inc: conf/languages/en.lang
	$(AM_V_GEN)$(MKDIR_P) src/webd && $(SED) -e 's/[\\"]/\\&/g' \
	    -e 's/^/"/' -e 's/$$/\\n"/' $(srcdir)/conf/languages/en.lang \
	    >$@.tmp && mv $@.tmp $@
src/webd/words.$(OBJEXT): src/webd/english.inc

check_PROGRAMS += tests/unit/test_words
TESTS += tests/unit/test_words
tests_unit_test_words_SOURCES = tests/unit/test_words.c \
	src/webd/words.c src/webd/words.h
tests_unit_test_words_LDADD = $(BASE_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_words
tests_fuzz_fuzz_words_SOURCES = tests/fuzz/fuzz_words.c \
	src/webd/words.c src/webd/words.h
tests_fuzz_fuzz_words_LDADD = $(FUZZMAIN) $(BASE_LIBS)
tests_fuzz_fuzz_words_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/words

check_PROGRAMS += tests/unit/test_target
TESTS += tests/unit/test_target
tests_unit_test_target_SOURCES = tests/unit/test_target.c \
	src/webd/target.c src/webd/target.h
tests_unit_test_target_LDADD = $(BASE_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_target
tests_fuzz_fuzz_target_SOURCES = tests/fuzz/fuzz_target.c \
	src/webd/target.c src/webd/target.h
tests_fuzz_fuzz_target_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_target_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/target

check_PROGRAMS += tests/unit/test_metrics
TESTS += tests/unit/test_metrics
tests_unit_test_metrics_SOURCES = tests/unit/test_metrics.c \
	tests/unit/check.h src/webd/metrics.c src/webd/metrics.h
tests_unit_test_metrics_LDADD = $(MONITOR_LIBS) $(CONSENT_LIBS)

check_PROGRAMS += tests/unit/test_limit
TESTS += tests/unit/test_limit
tests_unit_test_limit_SOURCES = tests/unit/test_limit.c tests/unit/check.h \
	src/webd/limit.c src/webd/limit.h
tests_unit_test_limit_LDADD = $(CONSENT_LIBS)

check_PROGRAMS += tests/unit/test_session
TESTS += tests/unit/test_session
tests_unit_test_session_SOURCES = tests/unit/test_session.c tests/unit/check.h \
	src/webd/session.c src/webd/session.h
tests_unit_test_session_LDADD = $(CONSENT_LIBS)

check_PROGRAMS += tests/unit/test_letter
TESTS += tests/unit/test_letter
tests_unit_test_letter_SOURCES = tests/unit/test_letter.c tests/unit/check.h \
	src/webd/letter.c src/webd/letter.h \
	src/webd/words.c src/webd/words.h
tests_unit_test_letter_LDADD = $(CONSENT_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_program
tests_fuzz_fuzz_program_SOURCES = tests/fuzz/fuzz_program.c \
	src/webd/exchange.c src/webd/program.c src/webd/program.h \
	src/webd/texts.c src/webd/wording.c src/webd/words.c
tests_fuzz_fuzz_program_LDADD = $(FUZZMAIN) $(RIGHTS_LIBS) \
	src/settings/libsettings.a $(LEDGER_LIBS) $(CONSENT_LIBS) \
	$(LIBCONFIG_LIBS) $(HIREDIS_LIBS) $(TLS_LIBS)
tests_fuzz_fuzz_program_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/program

check_PROGRAMS += tests/unit/test_webhook
TESTS += tests/unit/test_webhook
tests_unit_test_webhook_SOURCES = tests/unit/test_webhook.c \
	tests/unit/check.h src/webd/webhook_body.c src/webd/webhook_body.h
tests_unit_test_webhook_LDADD = $(CONSENT_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_webhook
tests_fuzz_fuzz_webhook_SOURCES = tests/fuzz/fuzz_webhook.c \
	src/webd/webhook_body.c src/webd/webhook_body.h
tests_fuzz_fuzz_webhook_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_webhook_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/webhook
