bin_PROGRAMS += src/ctl/consentctl
src_ctl_consentctl_SOURCES = \
	src/ctl/ledger.c \
	src/ctl/change.c \
	src/ctl/ctl.h \
	src/ctl/explain.c \
	src/ctl/import.c \
	src/ctl/log.c \
	src/ctl/look.c \
	src/ctl/main.c \
	src/ctl/row.c src/ctl/row.h
src_ctl_consentctl_LDADD = src/settings/libsettings.a \
	src/store/libstore.a src/journal/libjournal.a $(CONSENT_LIBS) \
	$(LIBCONFIG_LIBS) $(HIREDIS_LIBS) $(CSV_LIBS)
dist_man_MANS += src/ctl/consentctl.1
