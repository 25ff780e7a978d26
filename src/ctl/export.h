/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The document that `export' writes and `import' reads.
 */
#ifndef CTL_EXPORT_H
#define CTL_EXPORT_H

/* The value of its member "schema_version". */
#define EXPORT_SCHEMA	"cm-27560-1"

#endif
