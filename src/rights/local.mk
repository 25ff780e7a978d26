noinst_LIBRARIES += src/rights/librights.a
src_rights_librights_a_SOURCES = \
	src/rights/cell.c src/rights/cell.h \
	src/rights/export.c src/rights/export.h \
	src/rights/notice.c src/rights/notice.h \
	src/rights/redaction.c src/rights/redaction.h \
	src/rights/retention.c src/rights/retention.h \
	src/rights/watch.h

check_PROGRAMS += tests/unit/test_redaction
TESTS += tests/unit/test_redaction
tests_unit_test_redaction_SOURCES = tests/unit/test_redaction.c \
	tests/unit/check.h tests/unit/some_events.h
tests_unit_test_redaction_LDADD = $(RIGHTS_LIBS) $(LEDGER_LIBS) \
	$(CONSENT_LIBS)

check_PROGRAMS += tests/unit/test_retention
TESTS += tests/unit/test_retention
tests_unit_test_retention_SOURCES = tests/unit/test_retention.c \
	tests/unit/check.h
tests_unit_test_retention_LDADD = $(RIGHTS_LIBS) $(LEDGER_LIBS) \
	$(CONSENT_LIBS)
