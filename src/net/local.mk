noinst_LIBRARIES += src/net/libnet.a
src_net_libnet_a_SOURCES = \
	src/net/http.c src/net/http.h \
	src/net/net.c src/net/net.h \
	src/net/smtp.c src/net/smtp.h
