/*
 * What a component in C is written with: short names for the generated bindings, and the pieces of a manifest and of an answer.
 *
 * All that is handed to the host is allocated here and freed by the bindings once the host has it. A component keeps nothing
 * between two calls but its configuration.
 */
#ifndef EBHOST_H
#define EBHOST_H

#include <stdlib.h>
#include <string.h>

#include "bindings/plugin.h"

typedef plugin_string_t text_t;
typedef exports_ebhost_plugin_decoder_manifest_t manifest_t;
typedef exports_ebhost_plugin_decoder_family_t family_t;
typedef exports_ebhost_plugin_decoder_view_t view_t;
typedef exports_ebhost_plugin_decoder_field_t field_t;
typedef exports_ebhost_plugin_decoder_lookup_t lookup_t;
typedef exports_ebhost_plugin_decoder_series_t series_t;
typedef exports_ebhost_plugin_decoder_label_t label_t;
typedef exports_ebhost_plugin_decoder_number_t number_t;
typedef exports_ebhost_plugin_decoder_batch_t batch_t;
typedef exports_ebhost_plugin_decoder_rows_t rows_t;
typedef exports_ebhost_plugin_decoder_refusal_t refusal_t;

/* Zeros, or nothing for nothing: the bindings free no empty list. Without memory the call traps, which costs this batch alone. */
static inline void *allocate(size_t count, size_t size)
{
	void *memory = count ? calloc(count, size) : NULL;

	if (count && !memory)
		abort();
	return memory;
}

/* A list with room for one more: it doubles whenever it is full. */
static inline void *with_room(void *list, size_t count, size_t size)
{
	if (count & (count - 1))
		return list;
	list = realloc(list, (count ? 2 * count : 1) * size);
	if (!list)
		abort();
	return list;
}

static inline text_t text_of(const char *bytes, size_t length)
{
	text_t text = { allocate(length, 1), length };

	if (length)
		memcpy(text.ptr, bytes, length);
	return text;
}

static inline text_t text(const char *string)
{
	return text_of(string, strlen(string));
}

/* ---- the manifest ---- */

/* Makes room for so many of both; they are filled in place. */
static inline void manifest(manifest_t *manifest, size_t families, size_t views)
{
	manifest->families.ptr = allocate(families, sizeof(family_t));
	manifest->families.len = families;
	manifest->views.ptr = allocate(views, sizeof(view_t));
	manifest->views.len = views;
}

/* A counter of its raw numbers. Label names end with NULL. */
static inline family_t counter(const char *name, const char *help, const char *const *labels)
{
	family_t family = { .name = text(name), .help = text(help), .times = 1, .per = 1 };
	size_t count = 0;

	while (labels[count])
		count++;
	family.kind.tag = EXPORTS_EBHOST_PLUGIN_DECODER_KIND_COUNTER;
	family.labels.ptr = allocate(count, sizeof(text_t));
	family.labels.len = count;
	for (size_t label = 0; label < count; label++)
		family.labels.ptr[label] = text(labels[label]);
	return family;
}

/* A map's entries, told apart by the first `identity` bytes of the key, each feeding one family by a u64 at the value's beginning. */
static inline view_t table(const char *map, uint32_t key, uint32_t identity, uint32_t columns, uint32_t family)
{
	view_t view = { .source = text(map), .key_size = key, .value_size = 8, .columns = columns };
	series_t *series = allocate(1, sizeof(*series));

	if (identity) {
		view.identity.ptr = allocate(1, sizeof(field_t));
		view.identity.len = 1;
		view.identity.ptr[0] = (field_t){ EXPORTS_EBHOST_PLUGIN_DECODER_PART_KEY, 0, identity };
	}
	series->family = family;
	series->value.tag = EXPORTS_EBHOST_PLUGIN_DECODER_VALUE_NUMBER;
	series->value.val.number = (number_t){ .offset = 0, .size = 8 };
	series->labels.ptr = allocate(columns, sizeof(label_t));
	series->labels.len = columns;
	for (uint32_t column = 0; column < columns; column++) {
		series->labels.ptr[column].tag = EXPORTS_EBHOST_PLUGIN_DECODER_LABEL_COLUMN;
		series->labels.ptr[column].val.column = column;
	}
	view.series.ptr = series;
	view.series.len = 1;
	return view;
}

/* ---- the answer ---- */

/* Room for the labels of a batch: `columns` for each entry. */
static inline void answer(rows_t *rows, const batch_t *batch, size_t columns)
{
	memset(rows, 0, sizeof(*rows));
	rows->labels.ptr = allocate(batch->count * columns, sizeof(uint32_t));
	rows->labels.len = batch->count * columns;
}

/* A text's place in the dictionary, which is what a label is. Each text that several entries share is best put there once. */
static inline uint32_t place(rows_t *rows, text_t text)
{
	rows->dictionary.ptr = with_room(rows->dictionary.ptr, rows->dictionary.len, sizeof(text));
	rows->dictionary.ptr[rows->dictionary.len] = text;
	return rows->dictionary.len++;
}

static inline void refuse(rows_t *rows, refusal_t refusal)
{
	rows->refused.ptr = with_room(rows->refused.ptr, rows->refused.len, sizeof(refusal));
	rows->refused.ptr[rows->refused.len++] = refusal;
}

/* Not of interest: no error. */
static inline void skip(rows_t *rows, uint32_t entry)
{
	refuse(rows, (refusal_t){ entry, { .tag = EXPORTS_EBHOST_PLUGIN_DECODER_REASON_SKIP } });
}

/* Not understood: counted as a decode error, and the text shown to the operator. */
static inline void unknown(rows_t *rows, uint32_t entry, text_t why)
{
	refuse(rows, (refusal_t){ entry, { .tag = EXPORTS_EBHOST_PLUGIN_DECODER_REASON_UNKNOWN, .val.unknown = why } });
}

/* A C string of at most `most` bytes, as UTF-8: other bytes become `?`, for any user can set such a name. */
static inline text_t c_string(const uint8_t *bytes, size_t most)
{
	size_t length = strnlen((const char *)bytes, most);
	text_t text = text_of((const char *)bytes, length);

	for (size_t at = 0; at < length; at++)
		if (text.ptr[at] >= 0x80)
			text.ptr[at] = '?';
	return text;
}

#endif
