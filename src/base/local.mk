noinst_LIBRARIES += src/base/libbase.a
src_base_libbase_a_SOURCES = \
	src/base/buf.c src/base/buf.h \
	src/base/clock.c src/base/clock.h \
	src/base/closest.c src/base/closest.h \
	src/base/codec.c src/base/codec.h \
	src/base/counter.h \
	src/base/crypto.c src/base/crypto.h \
	src/base/date.c src/base/date.h \
	src/base/fail.c src/base/fail.h \
	src/base/file.c src/base/file.h \
	src/base/histogram.c src/base/histogram.h \
	src/base/json.c src/base/json.h \
	src/base/listen.c src/base/listen.h \
	src/base/log.c src/base/log.h \
	src/base/member.c src/base/member.h \
	src/base/privilege.c src/base/privilege.h \
	src/base/span.c src/base/span.h \
	src/base/template.c src/base/template.h \
	src/base/utf8.c src/base/utf8.h \
	src/base/xalloc.c src/base/xalloc.h

check_PROGRAMS += tests/unit/test_base
TESTS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/test_base.c tests/unit/check.h
tests_unit_test_base_LDADD = $(BASE_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_document
tests_fuzz_fuzz_document_SOURCES = tests/fuzz/fuzz_document.c
tests_fuzz_fuzz_document_LDADD = $(FUZZMAIN) $(BASE_LIBS)
tests_fuzz_fuzz_document_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/document
