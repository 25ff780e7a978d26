sbin_PROGRAMS += src/webd/consent-web
src_webd_consent_web_SOURCES = \
	src/webd/main.c \
	src/webd/optout.c src/webd/optout.h \
	src/webd/page.c src/webd/page.h \
	src/webd/server.c src/webd/server.h \
	src/webd/target.c src/webd/target.h
src_webd_consent_web_LDADD = src/settings/libsettings.a $(LEDGER_LIBS) \
	$(CONSENT_LIBS) $(LIBCONFIG_LIBS) $(HIREDIS_LIBS) \
	$(MICROHTTPD_LIBS) $(SYSTEMD_LIBS)
dist_man_MANS += src/webd/consent-web.8

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
