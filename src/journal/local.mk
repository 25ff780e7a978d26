noinst_LIBRARIES += src/journal/libjournal.a
src_journal_libjournal_a_SOURCES = \
	src/journal/journal.c src/journal/journal.h \
	src/journal/line.c src/journal/private.h \
	src/journal/reader.c

check_PROGRAMS += tests/unit/test_journal
TESTS += tests/unit/test_journal
tests_unit_test_journal_SOURCES = tests/unit/test_journal.c
tests_unit_test_journal_LDADD = $(JOURNAL_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_journal_line
tests_fuzz_fuzz_journal_line_SOURCES = tests/fuzz/fuzz_journal_line.c
tests_fuzz_fuzz_journal_line_LDADD = $(FUZZMAIN) $(JOURNAL_LIBS)
tests_fuzz_fuzz_journal_line_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/journal_line
