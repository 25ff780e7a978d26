# Benchmarks: numbers only, never part of `make check'.  See README.md there.
EXTRA_PROGRAMS += tests/bench/milterload tests/bench/nullcons \
	tests/bench/webload
tests_bench_milterload_SOURCES = tests/bench/milterload.c
tests_bench_milterload_LDADD = $(BASE_LIBS)
tests_bench_nullcons_SOURCES = tests/bench/nullcons.c
tests_bench_nullcons_LDADD = $(BASE_LIBS) $(MILTER_LIBS) $(HIREDIS_LIBS)
tests_bench_webload_SOURCES = tests/bench/webload.c
tests_bench_webload_LDADD = $(BASE_LIBS)
EXTRA_DIST += tests/bench/README.md tests/bench/run.py \
	tests/bench/audit.py tests/bench/resources.py tests/bench/web.py
CLEANFILES += $(EXTRA_PROGRAMS)

# make bench [BENCH_OPTIONS=--quick]
bench: all tests/bench/milterload tests/bench/nullcons tests/bench/filllog \
	tests/bench/bench_store tests/bench/bench_journal tests/bench/webload
	/usr/bin/python3 $(top_srcdir)/tests/bench/run.py $(BENCH_OPTIONS) \
		$(abs_top_builddir)
.PHONY: bench
