# For systemd, which reads all of it below /usr/local as well as below /usr.
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = contrib/sysusers.d/consent-milter.conf
tmpfilesdir = $(prefix)/lib/tmpfiles.d
dist_tmpfiles_DATA = contrib/tmpfiles.d/consent-milter.conf
nodist_systemdsystemunit_DATA = contrib/consent-milter.service \
	contrib/consent-web.service
EXTRA_DIST += contrib/consent-milter.service.in contrib/consent-web.service.in
CLEANFILES += $(nodist_systemdsystemunit_DATA)
SUFFIXES = .service.in .service
.service.in.service:
	$(AM_V_GEN)$(MKDIR_P) contrib && \
	    $(SED) 's|@sbindir[@]|$(sbindir)|g' $< >$@.tmp && mv $@.tmp $@
