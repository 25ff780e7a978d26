noinst_LIBRARIES += src/settings/libsettings.a
src_settings_libsettings_a_SOURCES = \
	src/settings/keys.c \
	src/settings/load.h \
	src/settings/option.c src/settings/option.h \
	src/settings/problems.c src/settings/problems.h \
	src/settings/reader.c src/settings/reader.h \
	src/settings/settings.c src/settings/settings.h \
	src/settings/source.c src/settings/source.h \
	src/settings/value.c src/settings/value.h

dist_man_MANS += src/settings/consent-milter.conf.5
# An example: nothing here overwrites the one in use.
sampledir = $(docdir)
dist_sample_DATA = conf/consent-milter.conf conf/redis-acl.conf

check_PROGRAMS += tests/unit/test_settings tests/unit/test_keys
TESTS += tests/unit/test_settings tests/unit/test_keys
tests_unit_test_settings_SOURCES = tests/unit/test_settings.c \
	tests/unit/check.h
tests_unit_test_settings_LDADD = $(SETTINGS_LIBS)
tests_unit_test_keys_SOURCES = tests/unit/test_keys.c tests/unit/check.h
tests_unit_test_keys_LDADD = $(SETTINGS_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_settings
tests_fuzz_fuzz_settings_SOURCES = tests/fuzz/fuzz_settings.c
tests_fuzz_fuzz_settings_LDADD = $(FUZZMAIN) $(SETTINGS_LIBS)
tests_fuzz_fuzz_settings_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/settings tests/fuzz/dict/settings.dict
