noinst_LIBRARIES += src/monitor/libmonitor.a
src_monitor_libmonitor_a_SOURCES = \
	src/monitor/control.c src/monitor/control.h \
	src/monitor/listener.c src/monitor/listener.h \
	src/monitor/prometheus.c src/monitor/prometheus.h \
	src/monitor/reach.c src/monitor/reach.h \
	src/monitor/reloads.c src/monitor/reloads.h \
	src/monitor/report.c src/monitor/report.h

check_PROGRAMS += tests/unit/test_monitor
TESTS += tests/unit/test_monitor
tests_unit_test_monitor_SOURCES = tests/unit/test_monitor.c \
	tests/unit/check.h
tests_unit_test_monitor_LDADD = $(MONITOR_LIBS) $(LEDGER_LIBS) \
	$(CONSENT_LIBS) $(HIREDIS_LIBS) $(TLS_LIBS)
