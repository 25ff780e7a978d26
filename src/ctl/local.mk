bin_PROGRAMS += src/ctl/consentctl
src_ctl_consentctl_SOURCES = \
	src/ctl/applying.c src/ctl/applying.h \
	src/ctl/ledger.c \
	src/ctl/change.c \
	src/ctl/changes.c \
	src/ctl/command.c src/ctl/command.h \
	src/ctl/complete.c \
	src/ctl/child.c src/ctl/child.h \
	src/ctl/complaint.c src/ctl/complaint.h \
	src/ctl/ctl.h \
	src/ctl/daemon.c src/ctl/daemon.h \
	src/ctl/dialog.c src/ctl/dialog.h \
	src/ctl/doctor.c src/ctl/doctor.h \
	src/ctl/doctor_clock.c \
	src/ctl/doctor_daemons.c \
	src/ctl/doctor_events.c \
	src/ctl/doctor_files.c \
	src/ctl/doctor_keys.c \
	src/ctl/doctor_ledger.c \
	src/ctl/doctor_postfix.c \
	src/ctl/doctor_redis.c \
	src/ctl/doctor_rights.c \
	src/ctl/doctor_rules.c \
	src/ctl/doctor_sendmail.c \
	src/ctl/doctor_settings.c \
	src/ctl/doctor_signer.c \
	src/ctl/doctor_smtpd.c \
	src/ctl/doctor_units.c \
	src/ctl/endpoint.c src/ctl/endpoint.h \
	src/ctl/erase.c \
	src/ctl/export.c \
	src/ctl/facts.c src/ctl/facts.h \
	src/ctl/explain.c \
	src/ctl/explained.c src/ctl/explained.h \
	src/ctl/finding.c src/ctl/finding.h \
	src/ctl/help.c src/ctl/help.h \
	src/ctl/import.c \
	src/ctl/log.c \
	src/ctl/look.c \
	src/ctl/main.c \
	src/ctl/mailbox.c src/ctl/mailbox.h \
	src/ctl/mailto.c src/ctl/mailto.h \
	src/ctl/mtaconf.c src/ctl/mtaconf.h \
	src/ctl/notice.c \
	src/ctl/notice_lint.c src/ctl/notice_lint.h \
	src/ctl/option.c \
	src/ctl/postconf.c src/ctl/postconf.h \
	src/ctl/progress.c src/ctl/progress.h \
	src/ctl/probe.c src/ctl/probe.h \
	src/ctl/prune.c \
	src/ctl/readable.c src/ctl/readable.h \
	src/ctl/reach.c src/ctl/reach.h \
	src/ctl/report.c src/ctl/report.h \
	src/ctl/report_csv.c \
	src/ctl/report_html.c \
	src/ctl/report_read.c \
	src/ctl/report_sum.c \
	src/ctl/report_text.c \
	src/ctl/ropa.c \
	src/ctl/row.c src/ctl/row.h \
	src/ctl/selftest.c \
	src/ctl/signature.c src/ctl/signature.h \
	src/ctl/stale.c \
	src/ctl/status.c \
	src/ctl/subject.c \
	src/ctl/term.c src/ctl/term.h \
	src/ctl/time.c \
	src/ctl/trial.c src/ctl/trial.h \
	src/ctl/trusted.c src/ctl/trusted.h \
	src/ctl/unsubscribe.c \
	src/ctl/verify.c \
	src/ctl/would.c src/ctl/would.h \
	src/ctl/would_print.c
src_ctl_consentctl_LDADD = $(RIGHTS_LIBS) src/settings/libsettings.a \
	$(LEDGER_LIBS) $(CONSENT_LIBS) \
	$(LIBCONFIG_LIBS) $(HIREDIS_LIBS) $(TLS_LIBS) $(CSV_LIBS) \
	$(NET_LIBS) $(OPENDKIM_LIBS) $(BASE_LIBS)
dist_man_MANS += src/ctl/consentctl.1

FUZZ_TARGETS += tests/fuzz/fuzz_import_row
tests_fuzz_fuzz_import_row_SOURCES = tests/fuzz/fuzz_import_row.c \
	src/ctl/row.c src/ctl/row.h
tests_fuzz_fuzz_import_row_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_import_row_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/import_row

FUZZ_TARGETS += tests/fuzz/fuzz_daemon
tests_fuzz_fuzz_daemon_SOURCES = tests/fuzz/fuzz_daemon.c \
	src/ctl/daemon.c src/ctl/daemon.h
tests_fuzz_fuzz_daemon_LDADD = $(FUZZMAIN) $(BASE_LIBS)
tests_fuzz_fuzz_daemon_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/daemon

check_PROGRAMS += tests/unit/test_mailto
TESTS += tests/unit/test_mailto
tests_unit_test_mailto_SOURCES = tests/unit/test_mailto.c \
	src/ctl/mailto.c src/ctl/mailto.h
tests_unit_test_mailto_LDADD = $(CONSENT_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_mailto
tests_fuzz_fuzz_mailto_SOURCES = tests/fuzz/fuzz_mailto.c \
	src/ctl/mailto.c src/ctl/mailto.h
tests_fuzz_fuzz_mailto_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_mailto_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/mailto

check_PROGRAMS += tests/unit/test_complaint
TESTS += tests/unit/test_complaint
tests_unit_test_complaint_SOURCES = tests/unit/test_complaint.c \
	src/ctl/complaint.c src/ctl/complaint.h \
	src/ctl/mailto.c src/ctl/mailto.h
tests_unit_test_complaint_LDADD = $(CONSENT_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_complaint
tests_fuzz_fuzz_complaint_SOURCES = tests/fuzz/fuzz_complaint.c \
	src/ctl/complaint.c src/ctl/complaint.h \
	src/ctl/mailto.c src/ctl/mailto.h
tests_fuzz_fuzz_complaint_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_complaint_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/complaint

check_PROGRAMS += tests/unit/test_probe
TESTS += tests/unit/test_probe
PROBE_SOURCES = src/ctl/finding.c src/ctl/finding.h \
	src/ctl/mailbox.c src/ctl/mailbox.h \
	src/ctl/probe.c src/ctl/probe.h \
	src/ctl/signature.c src/ctl/signature.h
tests_unit_test_probe_SOURCES = tests/unit/test_probe.c $(PROBE_SOURCES)
tests_unit_test_probe_LDADD = $(CONSENT_LIBS) $(OPENDKIM_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_probe
tests_fuzz_fuzz_probe_SOURCES = tests/fuzz/fuzz_probe.c $(PROBE_SOURCES)
tests_fuzz_fuzz_probe_LDADD = $(FUZZMAIN) $(CONSENT_LIBS) $(OPENDKIM_LIBS)
tests_fuzz_fuzz_probe_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/probe

check_PROGRAMS += tests/unit/test_explained
TESTS += tests/unit/test_explained
tests_unit_test_explained_SOURCES = tests/unit/test_explained.c \
	tests/unit/check.h src/ctl/explained.c src/ctl/explained.h
tests_unit_test_explained_LDADD = $(JOURNAL_LIBS)

check_PROGRAMS += tests/unit/test_trusted
TESTS += tests/unit/test_trusted
tests_unit_test_trusted_SOURCES = tests/unit/test_trusted.c \
	tests/unit/check.h src/ctl/trusted.c src/ctl/trusted.h
tests_unit_test_trusted_LDADD = $(JOURNAL_LIBS)

check_PROGRAMS += tests/unit/test_readable
TESTS += tests/unit/test_readable
tests_unit_test_readable_SOURCES = tests/unit/test_readable.c \
	tests/unit/check.h src/ctl/readable.c src/ctl/readable.h
tests_unit_test_readable_LDADD = $(BASE_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_readable
tests_fuzz_fuzz_readable_SOURCES = tests/fuzz/fuzz_readable.c \
	src/ctl/readable.c src/ctl/readable.h
tests_fuzz_fuzz_readable_LDADD = $(FUZZMAIN) $(BASE_LIBS)
tests_fuzz_fuzz_readable_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/readable

FUZZ_TARGETS += tests/fuzz/fuzz_would
tests_fuzz_fuzz_would_SOURCES = tests/fuzz/fuzz_would.c \
	src/ctl/report.h src/ctl/report_html.c src/ctl/report_read.c \
	src/ctl/report_sum.c src/ctl/time.c \
	src/ctl/would.c src/ctl/would.h src/ctl/would_print.c
tests_fuzz_fuzz_would_LDADD = $(FUZZMAIN) $(RIGHTS_LIBS) $(CONSENT_LIBS)
tests_fuzz_fuzz_would_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/would tests/fuzz/dict/would.dict

check_PROGRAMS += tests/unit/test_mtaconf
TESTS += tests/unit/test_mtaconf
tests_unit_test_mtaconf_SOURCES = tests/unit/test_mtaconf.c \
	tests/unit/check.h src/ctl/child.c src/ctl/child.h \
	src/ctl/dialog.c src/ctl/dialog.h \
	src/ctl/doctor.h src/ctl/doctor_units.c \
	src/ctl/finding.c src/ctl/finding.h \
	src/ctl/mtaconf.c src/ctl/mtaconf.h
tests_unit_test_mtaconf_LDADD = $(CONSENT_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_mtaconf
tests_fuzz_fuzz_mtaconf_SOURCES = tests/fuzz/fuzz_mtaconf.c \
	src/ctl/dialog.c src/ctl/dialog.h \
	src/ctl/mtaconf.c src/ctl/mtaconf.h
tests_fuzz_fuzz_mtaconf_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_mtaconf_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/mtaconf
