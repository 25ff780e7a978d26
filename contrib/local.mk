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

# Packages.  By name: a build in the tree leaves other files in debian/.
EXTRA_DIST += contrib/rpm/consent-milter.spec debian/README.Debian \
	debian/changelog debian/consent-milter.docs \
	debian/consent-milter.examples \
	debian/consent-milter.lintian-overrides \
	debian/consent-milter.postinst debian/consent-milter.postrm \
	debian/control debian/copyright debian/rules debian/source/format \
	debian/source/lintian-overrides

# A Debian package from what `make dist' makes, in deb/; DEB_OPTIONS goes to
# dpkg-buildpackage.  The build from a clean tarball is the one that counts:
# what is not distributed would be missing here.
deb: dist
	rm -rf deb && $(MKDIR_P) deb
	cp $(distdir).tar.xz deb/$(PACKAGE)_$(VERSION).orig.tar.xz
	cd deb && tar -xf $(PACKAGE)_$(VERSION).orig.tar.xz && \
	    cd $(distdir) && dpkg-buildpackage -us -uc $(DEB_OPTIONS)
clean-local:
	rm -rf deb
.PHONY: deb
