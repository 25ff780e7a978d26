noinst_LIBRARIES += src/mail/libmail.a
src_mail_libmail_a_SOURCES = \
	src/mail/address.c src/mail/address.h \
	src/mail/authres.c src/mail/authres.h \
	src/mail/field.c src/mail/field.h \
	src/mail/list_field.c src/mail/list_field.h \
	src/mail/mime.c src/mail/mime.h

check_PROGRAMS += tests/unit/test_address tests/unit/test_authres \
	tests/unit/test_field tests/unit/test_list_field tests/unit/test_mime
TESTS += tests/unit/test_address tests/unit/test_authres \
	tests/unit/test_field tests/unit/test_list_field tests/unit/test_mime
tests_unit_test_address_SOURCES = tests/unit/test_address.c
tests_unit_test_address_LDADD = $(MAIL_LIBS)
tests_unit_test_authres_SOURCES = tests/unit/test_authres.c
tests_unit_test_authres_LDADD = $(MAIL_LIBS)
tests_unit_test_mime_SOURCES = tests/unit/test_mime.c
tests_unit_test_mime_LDADD = $(MAIL_LIBS)
tests_unit_test_field_SOURCES = tests/unit/test_field.c
tests_unit_test_field_LDADD = $(MAIL_LIBS)
tests_unit_test_list_field_SOURCES = tests/unit/test_list_field.c
tests_unit_test_list_field_LDADD = $(MAIL_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_address tests/fuzz/fuzz_field \
	tests/fuzz/fuzz_list_field
tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz_address.c
tests_fuzz_fuzz_address_LDADD = $(FUZZMAIN) $(MAIL_LIBS)
tests_fuzz_fuzz_address_LDFLAGS = $(FUZZLINK)
tests_fuzz_fuzz_field_SOURCES = tests/fuzz/fuzz_field.c
tests_fuzz_fuzz_field_LDADD = $(FUZZMAIN) $(MAIL_LIBS)
tests_fuzz_fuzz_field_LDFLAGS = $(FUZZLINK)
tests_fuzz_fuzz_list_field_SOURCES = tests/fuzz/fuzz_list_field.c
tests_fuzz_fuzz_list_field_LDADD = $(FUZZMAIN) $(MAIL_LIBS)
tests_fuzz_fuzz_list_field_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/address tests/fuzz/corpus/field \
	tests/fuzz/corpus/list_field
