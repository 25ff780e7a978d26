noinst_LIBRARIES += src/net/libnet.a
src_net_libnet_a_SOURCES = \
	src/net/http.c src/net/http.h \
	src/net/net.c src/net/net.h \
	src/net/smtp.c src/net/smtp.h

check_PROGRAMS += tests/unit/test_net
TESTS += tests/unit/test_net
tests_unit_test_net_SOURCES = tests/unit/test_net.c tests/unit/check.h
tests_unit_test_net_LDADD = $(NET_LIBS) $(BASE_LIBS)

# Both from the command line, for the integration tests.
noinst_PROGRAMS += tests/rig/netcall
tests_rig_netcall_SOURCES = tests/rig/netcall.c
tests_rig_netcall_LDADD = $(NET_LIBS) $(BASE_LIBS)
