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

# The formal model; skipped where spin is missing.
TESTS += tests/model/run.sh
EXTRA_DIST += tests/model

# A room adds a target like this (in its own local.mk):
#	FUZZ_TARGETS += tests/fuzz/fuzz_address
#	tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz_address.c
#	tests_fuzz_fuzz_address_LDADD = $(FUZZMAIN) $(MAIL_LIBS)
#	tests_fuzz_fuzz_address_LDFLAGS = $(FUZZLINK)
# and its seeds to tests/fuzz/corpus/address/.

# For run.sh.
list-check-programs:
	@echo $(check_PROGRAMS)
list-fuzz-targets:
	@echo $(FUZZ_TARGETS)
.PHONY: list-check-programs list-fuzz-targets lint check-integration lab

# Needs a build; prints what it finds.
lint: all
	python3 -B $(srcdir)/tests/lint/lint.py $(abs_srcdir) $(abs_builddir)
# Needs root, Postfix, redis-server and what else run.sh installs.
check-integration: all
	python3 -B $(srcdir)/tests/integration/run.py -b $(abs_builddir)

# The same needs.  LAB_OPTIONS, for example --runs 1000: see tests/lab/run.py.
lab: all
	python3 -B $(srcdir)/tests/lab/run.py -b $(abs_builddir) $(LAB_OPTIONS)

EXTRA_DIST += tests/run.sh tests/packages.sh tests/tsan.supp tests/lint \
	tests/rig tests/integration tests/lab tests/package contrib/demo.sh \
	contrib/demo
# Python leaves these in directories that are distributed as a whole.
dist-hook:
	find $(distdir) -name __pycache__ -prune -exec rm -rf {} +
