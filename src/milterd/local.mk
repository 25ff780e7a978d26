sbin_PROGRAMS += src/milterd/consent-milter
src_milterd_consent_milter_SOURCES = \
	src/milterd/audit.c src/milterd/audit.h \
	src/milterd/callbacks.c src/milterd/callbacks.h \
	src/milterd/capacity.c src/milterd/capacity.h \
	src/milterd/edits.c src/milterd/edits.h \
	src/milterd/main.c \
	src/milterd/message.c src/milterd/message.h \
	src/milterd/overview.c src/milterd/overview.h \
	src/milterd/reply.c src/milterd/reply.h \
	src/milterd/runtime.c src/milterd/runtime.h \
	src/milterd/tally.c src/milterd/tally.h \
	src/milterd/unapplied.c src/milterd/unapplied.h
src_milterd_consent_milter_LDADD = $(MONITOR_LIBS) src/settings/libsettings.a \
	$(LEDGER_LIBS) $(CONSENT_LIBS) \
	$(LIBCONFIG_LIBS) $(HIREDIS_LIBS) $(TLS_LIBS) \
	$(MILTER_LIBS) $(SYSTEMD_LIBS)

check_PROGRAMS += tests/unit/test_edits tests/unit/test_reply \
	tests/unit/test_unapplied
TESTS += tests/unit/test_edits tests/unit/test_reply tests/unit/test_unapplied
tests_unit_test_edits_SOURCES = tests/unit/test_edits.c \
	src/milterd/edits.c src/milterd/edits.h
tests_unit_test_edits_LDADD = $(CONSENT_LIBS)
tests_unit_test_reply_SOURCES = tests/unit/test_reply.c \
	src/milterd/reply.c src/milterd/reply.h
tests_unit_test_reply_LDADD = $(CONSENT_LIBS)
tests_unit_test_unapplied_SOURCES = tests/unit/test_unapplied.c \
	src/milterd/unapplied.c src/milterd/unapplied.h tests/unit/check.h
tests_unit_test_unapplied_LDADD = $(LEDGER_LIBS) $(CONSENT_LIBS) \
	$(HIREDIS_LIBS) $(TLS_LIBS)
check_PROGRAMS += tests/unit/test_tally
TESTS += tests/unit/test_tally
tests_unit_test_tally_SOURCES = tests/unit/test_tally.c \
	tests/unit/check.h src/milterd/tally.c src/milterd/tally.h
tests_unit_test_tally_LDADD = $(MONITOR_LIBS) $(CONSENT_LIBS)
dist_man_MANS += src/milterd/consent-milter.8
