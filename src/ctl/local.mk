bin_PROGRAMS += src/ctl/consentctl
src_ctl_consentctl_SOURCES = \
	src/ctl/ledger.c \
	src/ctl/change.c \
	src/ctl/ctl.h \
	src/ctl/erase.c \
	src/ctl/export.c src/ctl/export.h \
	src/ctl/facts.c src/ctl/facts.h \
	src/ctl/explain.c \
	src/ctl/import.c \
	src/ctl/log.c \
	src/ctl/look.c \
	src/ctl/main.c \
	src/ctl/notice.c src/ctl/notice.h \
	src/ctl/prune.c \
	src/ctl/redaction.c src/ctl/redaction.h \
	src/ctl/ropa.c \
	src/ctl/row.c src/ctl/row.h \
	src/ctl/stale.c \
	src/ctl/verify.c
src_ctl_consentctl_LDADD = src/settings/libsettings.a \
	src/store/libstore.a src/journal/libjournal.a $(CONSENT_LIBS) \
	$(LIBCONFIG_LIBS) $(HIREDIS_LIBS) $(CSV_LIBS)
dist_man_MANS += src/ctl/consentctl.1

FUZZ_TARGETS += tests/fuzz/fuzz_import_row
tests_fuzz_fuzz_import_row_SOURCES = tests/fuzz/fuzz_import_row.c \
	src/ctl/row.c src/ctl/row.h
tests_fuzz_fuzz_import_row_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_import_row_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/import_row
