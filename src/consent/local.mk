noinst_LIBRARIES += src/consent/libconsent.a
src_consent_libconsent_a_SOURCES = \
	src/consent/classify.c src/consent/classify.h \
	src/consent/decision.c src/consent/decision.h \
	src/consent/event.c src/consent/event.h \
	src/consent/evidence.c \
	src/consent/link.c src/consent/link.h \
	src/consent/policy.c src/consent/policy.h \
	src/consent/record.c src/consent/record.h \
	src/consent/reply_text.c src/consent/reply_text.h \
	src/consent/subject.c src/consent/subject.h \
	src/consent/token.c src/consent/token.h

CONSENT_TESTS = tests/unit/test_classify tests/unit/test_decision \
	tests/unit/test_event tests/unit/test_evidence tests/unit/test_link \
	tests/unit/test_policy tests/unit/test_record \
	tests/unit/test_reply_text tests/unit/test_subject tests/unit/test_token
check_PROGRAMS += $(CONSENT_TESTS)
TESTS += $(CONSENT_TESTS)
tests_unit_test_classify_SOURCES = tests/unit/test_classify.c \
	tests/unit/check.h
tests_unit_test_classify_LDADD = $(CONSENT_LIBS)
tests_unit_test_decision_SOURCES = tests/unit/test_decision.c \
	tests/unit/check.h tests/unit/some_events.h
tests_unit_test_decision_LDADD = $(CONSENT_LIBS)
tests_unit_test_event_SOURCES = tests/unit/test_event.c tests/unit/check.h
tests_unit_test_event_LDADD = $(CONSENT_LIBS)
tests_unit_test_evidence_SOURCES = tests/unit/test_evidence.c \
	tests/unit/check.h
tests_unit_test_evidence_LDADD = $(CONSENT_LIBS)
tests_unit_test_link_SOURCES = tests/unit/test_link.c tests/unit/check.h
tests_unit_test_link_LDADD = $(CONSENT_LIBS)
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c tests/unit/check.h
tests_unit_test_policy_LDADD = $(CONSENT_LIBS)
tests_unit_test_record_SOURCES = tests/unit/test_record.c \
	tests/unit/check.h tests/unit/some_events.h
tests_unit_test_record_LDADD = $(CONSENT_LIBS)
tests_unit_test_reply_text_SOURCES = tests/unit/test_reply_text.c \
	tests/unit/check.h
tests_unit_test_reply_text_LDADD = $(CONSENT_LIBS)
tests_unit_test_subject_SOURCES = tests/unit/test_subject.c \
	tests/unit/check.h
tests_unit_test_subject_LDADD = $(CONSENT_LIBS)
tests_unit_test_token_SOURCES = tests/unit/test_token.c tests/unit/check.h
tests_unit_test_token_LDADD = $(CONSENT_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_classify tests/fuzz/fuzz_event \
	tests/fuzz/fuzz_link tests/fuzz/fuzz_record \
	tests/fuzz/fuzz_reply_text tests/fuzz/fuzz_token
tests_fuzz_fuzz_classify_SOURCES = tests/fuzz/fuzz_classify.c
tests_fuzz_fuzz_classify_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_classify_LDFLAGS = $(FUZZLINK)
tests_fuzz_fuzz_event_SOURCES = tests/fuzz/fuzz_event.c
tests_fuzz_fuzz_event_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_event_LDFLAGS = $(FUZZLINK)
tests_fuzz_fuzz_link_SOURCES = tests/fuzz/fuzz_link.c
tests_fuzz_fuzz_link_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_link_LDFLAGS = $(FUZZLINK)
tests_fuzz_fuzz_record_SOURCES = tests/fuzz/fuzz_record.c
tests_fuzz_fuzz_record_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_record_LDFLAGS = $(FUZZLINK)
tests_fuzz_fuzz_reply_text_SOURCES = tests/fuzz/fuzz_reply_text.c
tests_fuzz_fuzz_reply_text_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_reply_text_LDFLAGS = $(FUZZLINK)
tests_fuzz_fuzz_token_SOURCES = tests/fuzz/fuzz_token.c
tests_fuzz_fuzz_token_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_token_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/classify tests/fuzz/corpus/event \
	tests/fuzz/corpus/link tests/fuzz/corpus/record \
	tests/fuzz/corpus/reply_text \
	tests/fuzz/corpus/token

check_PROGRAMS += tests/unit/test_member
TESTS += tests/unit/test_member
tests_unit_test_member_SOURCES = tests/unit/test_member.c tests/unit/check.h
tests_unit_test_member_LDADD = $(CONSENT_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_member
tests_fuzz_fuzz_member_SOURCES = tests/fuzz/fuzz_member.c
tests_fuzz_fuzz_member_LDADD = $(FUZZMAIN) $(CONSENT_LIBS)
tests_fuzz_fuzz_member_LDFLAGS = $(FUZZLINK)
EXTRA_DIST += tests/fuzz/corpus/member
