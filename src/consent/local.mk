noinst_LIBRARIES += src/consent/libconsent.a
src_consent_libconsent_a_SOURCES = \
	src/consent/classify.c src/consent/classify.h \
	src/consent/decision.c src/consent/decision.h \
	src/consent/event.c src/consent/event.h \
	src/consent/policy.c src/consent/policy.h \
	src/consent/record.c src/consent/record.h \
	src/consent/subject.c src/consent/subject.h \
	src/consent/token.c src/consent/token.h
