noinst_LIBRARIES += src/store/libstore.a
src_store_libstore_a_SOURCES = \
	src/store/apply.c \
	src/store/cluster.c \
	src/store/command.c \
	src/store/dial.c \
	src/store/errand.c \
	src/store/freshness.c \
	src/store/handshake.c \
	src/store/inspect.c src/store/inspect.h \
	src/store/link.c \
	src/store/private.h \
	src/store/replica.c \
	src/store/reply.c \
	src/store/sentinel.c \
	src/store/slots.c \
	src/store/spread.c \
	src/store/stats.c \
	src/store/store.c src/store/store.h \
	src/store/tls.c \
	src/store/transport.c \
	src/store/upkeep.c \
	src/store/url.c

# The script that runs in Redis, as a C string.
EXTRA_DIST += src/store/merge.lua
BUILT_SOURCES += src/store/merge.inc
CLEANFILES += src/store/merge.inc
src/store/merge.inc: src/store/merge.lua
	$(AM_V_GEN)$(MKDIR_P) src/store && $(SED) -e 's/[\\"]/\\&/g' \
	    -e 's/^/"/' -e 's/$$/\\n"/' $(srcdir)/src/store/merge.lua >$@.tmp \
	    && mv $@.tmp $@
src/store/apply.$(OBJEXT): src/store/merge.inc

check_PROGRAMS += tests/unit/test_store tests/unit/test_store_redis \
	tests/unit/test_store_faults tests/unit/test_store_tls \
	tests/unit/test_store_cluster
TESTS += tests/unit/test_store tests/unit/test_store_redis \
	tests/unit/test_store_faults tests/unit/test_store_tls \
	tests/unit/test_store_cluster
tests_unit_test_store_SOURCES = tests/unit/test_store.c tests/unit/check.h
tests_unit_test_store_LDADD = $(STORE_LIBS)
tests_unit_test_store_redis_SOURCES = tests/unit/test_store_redis.c \
	tests/unit/check.h tests/unit/redis_server.h
tests_unit_test_store_redis_LDADD = $(STORE_LIBS)
tests_unit_test_store_faults_SOURCES = tests/unit/test_store_faults.c \
	tests/unit/check.h tests/unit/redis_server.h
tests_unit_test_store_faults_LDADD = $(STORE_LIBS)
tests_unit_test_store_tls_SOURCES = tests/unit/test_store_tls.c \
	tests/unit/check.h tests/unit/redis_server.h
tests_unit_test_store_tls_LDADD = $(STORE_LIBS)
tests_unit_test_store_cluster_SOURCES = tests/unit/test_store_cluster.c \
	tests/unit/check.h tests/unit/redis_server.h
tests_unit_test_store_cluster_LDADD = $(STORE_LIBS)
EXTRA_DIST += conf/redis-acl.conf

FUZZ_TARGETS += tests/fuzz/fuzz_redis_reply
tests_fuzz_fuzz_redis_reply_SOURCES = tests/fuzz/fuzz_redis_reply.c
tests_fuzz_fuzz_redis_reply_LDADD = $(FUZZMAIN) $(STORE_LIBS)
tests_fuzz_fuzz_redis_reply_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/redis_reply

FUZZ_TARGETS += tests/fuzz/fuzz_redis_cluster
tests_fuzz_fuzz_redis_cluster_SOURCES = tests/fuzz/fuzz_redis_cluster.c
tests_fuzz_fuzz_redis_cluster_LDADD = $(FUZZMAIN) $(STORE_LIBS)
tests_fuzz_fuzz_redis_cluster_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/redis_cluster

# Numbers only: make tests/bench/bench_store
EXTRA_PROGRAMS += tests/bench/bench_store
tests_bench_bench_store_SOURCES = tests/bench/bench_store.c
tests_bench_bench_store_LDADD = $(STORE_LIBS)
