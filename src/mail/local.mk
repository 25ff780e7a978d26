noinst_LIBRARIES += src/mail/libmail.a
src_mail_libmail_a_SOURCES = \
	src/mail/address.c src/mail/address.h \
	src/mail/field.c src/mail/field.h \
	src/mail/list_field.c src/mail/list_field.h
