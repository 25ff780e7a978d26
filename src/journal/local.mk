noinst_LIBRARIES += src/journal/libjournal.a
src_journal_libjournal_a_SOURCES = \
	src/journal/journal.c src/journal/journal.h \
	src/journal/line.c src/journal/private.h \
	src/journal/reader.c
