noinst_LIBRARIES += src/ledger/libledger.a
src_ledger_libledger_a_SOURCES = \
	src/ledger/append.c src/ledger/append.h \
	src/ledger/applied.c src/ledger/applied.h \
	src/ledger/applier.c src/ledger/applier.h \
	src/ledger/identity.c src/ledger/identity.h \
	src/ledger/known_time.c src/ledger/known_time.h \
	src/ledger/redis.c src/ledger/redis.h \
	src/ledger/when.c src/ledger/when.h

check_PROGRAMS += tests/unit/test_known_time
TESTS += tests/unit/test_known_time
tests_unit_test_known_time_SOURCES = tests/unit/test_known_time.c \
	tests/unit/check.h
tests_unit_test_known_time_LDADD = $(LEDGER_LIBS) $(CONSENT_LIBS) \
	$(HIREDIS_LIBS) $(TLS_LIBS)

check_PROGRAMS += tests/unit/test_applier
TESTS += tests/unit/test_applier
tests_unit_test_applier_SOURCES = tests/unit/test_applier.c \
	tests/unit/check.h tests/unit/redis_server.h
tests_unit_test_applier_LDADD = $(LEDGER_LIBS) $(CONSENT_LIBS) \
	$(HIREDIS_LIBS) $(TLS_LIBS)
