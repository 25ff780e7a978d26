/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs a fuzz target over files, for builds without libFuzzer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		unsigned char *data = NULL;
		size_t len = 0, n;

		if (f == NULL) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		do {
			data = realloc(data, len + 65536);
			if (data == NULL)
				abort();
			n = fread(data + len, 1, 65536, f);
			len += n;
		} while (n != 0);
		(void)fclose(f);
		/* An exact copy lets the sanitizer see a read past the end. */
		unsigned char *exact = malloc(len ? len : 1);
		if (exact == NULL)
			abort();
		for (size_t j = 0; j < len; j++)
			exact[j] = data[j];
		free(data);
		(void)LLVMFuzzerTestOneInput(exact, len);
		free(exact);
	}
	return EXIT_SUCCESS;
}
