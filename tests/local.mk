# The fuzz targets run over their corpus in `make check'; with
# --enable-fuzzing (clang) the same programs search for more.
EXTRA_DIST += tests/fuzz/replay.sh
if FUZZING
FUZZMAIN =
FUZZLINK = $(AM_LDFLAGS) -fsanitize=fuzzer
else
check_LIBRARIES += tests/fuzz/libreplay.a
tests_fuzz_libreplay_a_SOURCES = tests/fuzz/replay.c
FUZZMAIN = tests/fuzz/libreplay.a
FUZZLINK = $(AM_LDFLAGS)
endif
check_PROGRAMS += $(FUZZ_TARGETS)
TESTS += tests/fuzz/replay.sh
AM_TESTS_ENVIRONMENT = FUZZ_TARGETS='$(FUZZ_TARGETS)'; export FUZZ_TARGETS;

# A room adds a target like this (in its own local.mk):
#	FUZZ_TARGETS += tests/fuzz/fuzz_address
#	tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz_address.c
#	tests_fuzz_fuzz_address_LDADD = $(FUZZMAIN) $(MAIL_LIBS)
#	tests_fuzz_fuzz_address_LDFLAGS = $(FUZZLINK)
# and its seeds to tests/fuzz/corpus/address/.
