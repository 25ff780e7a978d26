noinst_LIBRARIES += src/rights/librights.a
src_rights_librights_a_SOURCES = \
	src/rights/cell.c src/rights/cell.h \
	src/rights/export.c src/rights/export.h \
	src/rights/notice.c src/rights/notice.h \
	src/rights/redaction.c src/rights/redaction.h \
	src/rights/watch.h
