noinst_LIBRARIES += src/journal/libjournal.a
src_journal_libjournal_a_SOURCES = \
	src/journal/checkpoint.c src/journal/checkpoint.h \
	src/journal/journal.c src/journal/journal.h \
	src/journal/line.c src/journal/private.h \
	src/journal/prune.c src/journal/prune.h \
	src/journal/reader.c src/journal/redact.c src/journal/redact.h \
	src/journal/segment.c \
	src/journal/tail.c src/journal/verify.c src/journal/verify.h \
	src/journal/writer.c

check_PROGRAMS += tests/unit/test_journal tests/unit/test_journal_faults \
	tests/unit/test_verify
TESTS += tests/unit/test_journal tests/unit/test_journal_faults \
	tests/unit/test_verify
tests_unit_test_verify_SOURCES = tests/unit/test_verify.c \
	tests/unit/journal_rig.h
tests_unit_test_verify_LDADD = $(JOURNAL_LIBS)
check_PROGRAMS += tests/unit/test_tamper
TESTS += tests/unit/test_tamper
tests_unit_test_tamper_SOURCES = tests/unit/test_tamper.c \
	tests/unit/journal_rig.h
tests_unit_test_tamper_LDADD = $(JOURNAL_LIBS)
tests_unit_test_journal_SOURCES = tests/unit/test_journal.c \
	tests/unit/journal_rig.h
tests_unit_test_journal_LDADD = $(JOURNAL_LIBS)
# The calls that the test makes fail.
tests_unit_test_journal_faults_SOURCES = tests/unit/test_journal_faults.c \
	tests/unit/journal_rig.h
tests_unit_test_journal_faults_LDADD = $(JOURNAL_LIBS)
tests_unit_test_journal_faults_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=write,--wrap=fsync,--wrap=fdatasync \
	-Wl,--wrap=ftruncate,--wrap=ftruncate64

FUZZ_TARGETS += tests/fuzz/fuzz_journal_line
tests_fuzz_fuzz_journal_line_SOURCES = tests/fuzz/fuzz_journal_line.c
tests_fuzz_fuzz_journal_line_LDADD = $(FUZZMAIN) $(JOURNAL_LIBS)
tests_fuzz_fuzz_journal_line_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/journal_line

FUZZ_TARGETS += tests/fuzz/fuzz_verify
tests_fuzz_fuzz_verify_SOURCES = tests/fuzz/fuzz_verify.c
tests_fuzz_fuzz_verify_LDADD = $(FUZZMAIN) $(JOURNAL_LIBS)
tests_fuzz_fuzz_verify_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/verify

# Numbers only, never part of `make check'.
EXTRA_PROGRAMS += tests/bench/bench_journal
tests_bench_bench_journal_SOURCES = tests/bench/bench_journal.c
tests_bench_bench_journal_LDADD = $(JOURNAL_LIBS)
tests_bench_bench_journal_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=write
EXTRA_PROGRAMS += tests/bench/filllog
tests_bench_filllog_SOURCES = tests/bench/filllog.c
tests_bench_filllog_LDADD = $(JOURNAL_LIBS)
