noinst_LIBRARIES += src/store/libstore.a
src_store_libstore_a_SOURCES = \
	src/store/apply.c \
	src/store/command.c \
	src/store/dial.c \
	src/store/handshake.c \
	src/store/link.c \
	src/store/private.h \
	src/store/reply.c \
	src/store/store.c src/store/store.h \
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
