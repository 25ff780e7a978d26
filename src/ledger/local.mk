noinst_LIBRARIES += src/ledger/libledger.a
src_ledger_libledger_a_SOURCES = \
	src/ledger/append.c src/ledger/append.h \
	src/ledger/applier.c src/ledger/applier.h \
	src/ledger/identity.c src/ledger/identity.h \
	src/ledger/when.c src/ledger/when.h
