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
typedef exports_ebhost_plugin_decoder_value_t value_t;
typedef exports_ebhost_plugin_decoder_slots_t slots_t;
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

/* A family without its kind. Label names end with NULL. */
static inline family_t family_of(const char *name, const char *help, const char *const *labels)
{
	family_t family = { .name = text(name), .help = text(help), .times = 1, .per = 1 };
	size_t count = 0;

	while (labels[count])
		count++;
	family.labels.ptr = allocate(count, sizeof(text_t));
	family.labels.len = count;
	for (size_t label = 0; label < count; label++)
		family.labels.ptr[label] = text(labels[label]);
	return family;
}

/* A counter of its raw numbers. */
static inline family_t counter(const char *name, const char *help, const char *const *labels)
{
	family_t family = family_of(name, help, labels);

	family.kind.tag = EXPORTS_EBHOST_PLUGIN_DECODER_KIND_COUNTER;
	return family;
}

/* A gauge: a value as it is now. `fold` is how values of equal labels become one: EXPORTS_EBHOST_PLUGIN_DECODER_FOLD_SUM, …_MIN, …_MAX. */
static inline family_t gauge(const char *name, const char *help, const char *const *labels, uint8_t fold)
{
	family_t family = family_of(name, help, labels);

	family.kind.tag = EXPORTS_EBHOST_PLUGIN_DECODER_KIND_GAUGE;
	family.kind.val.gauge = fold;
	return family;
}

/* Upper bounds in the family's unit, ascending, without +Inf. */
static inline family_t histogram(const char *name, const char *help, const char *const *labels, const double *bounds,
				 size_t count)
{
	family_t family = family_of(name, help, labels);

	family.kind.tag = EXPORTS_EBHOST_PLUGIN_DECODER_KIND_HISTOGRAM;
	family.kind.val.histogram.ptr = allocate(count, sizeof(*bounds));
	family.kind.val.histogram.len = count;
	if (count)
		memcpy(family.kind.val.histogram.ptr, bounds, count * sizeof(*bounds));
	return family;
}

/* The unit that the family's name ends with, and how many raw numbers make one of it: `in_unit(f, "seconds", 1e9)` for nanoseconds. */
static inline family_t in_unit(family_t family, const char *unit, double per)
{
	family.unit = text(unit);
	family.per = per;
	return family;
}

/* ---- views in parts: a view, what its entries are told apart by, and what each entry feeds ---- */

/* A view without identity and series. Events of a buffer have a key of 0 bytes. */
static inline view_t view_of(const char *map, uint32_t key, uint32_t value, uint32_t columns)
{
	return (view_t){ .source = text(map), .key_size = key, .value_size = value, .columns = columns };
}

/* Adds bytes of the key to the identity, or of the value with EXPORTS_EBHOST_PLUGIN_DECODER_PART_VALUE; returns the field's number. */
static inline uint32_t identify(view_t *view, uint8_t part, uint32_t offset, uint32_t length)
{
	view->identity.ptr = with_room(view->identity.ptr, view->identity.len, sizeof(field_t));
	view->identity.ptr[view->identity.len] = (field_t){ part, offset, length };
	return view->identity.len++;
}

/* Makes the host look a field of the identity up, in a table that `grants` in plugin.yaml has; `name` below finds the name. */
static inline void look_up(view_t *view, const char *table, uint32_t field)
{
	view->lookups.ptr = with_room(view->lookups.ptr, view->lookups.len, sizeof(lookup_t));
	view->lookups.ptr[view->lookups.len++] = (lookup_t){ .table = text(table), .field = field };
}

/* An unsigned number of the value: of a counter the total, of a gauge the value, of events an amount. */
static inline value_t number(uint32_t offset, uint32_t size)
{
	value_t value = { .tag = EXPORTS_EBHOST_PLUGIN_DECODER_VALUE_NUMBER };

	value.val.number = (number_t){ .offset = offset, .size = size };
	return value;
}

/* 1 for each entry or event. */
static inline value_t one(void)
{
	return (value_t){ .tag = EXPORTS_EBHOST_PLUGIN_DECODER_VALUE_ONE };
}

/* Histogram, events only: each is one observation. */
static inline value_t observation(uint32_t offset, uint32_t size)
{
	value_t value = { .tag = EXPORTS_EBHOST_PLUGIN_DECODER_VALUE_OBSERVATION };

	value.val.observation = (number_t){ .offset = offset, .size = size };
	return value;
}

/* Histogram: an array of u64 counts in the value, one more than there are bounds, and the u64 sum of the observations. */
static inline value_t slots(uint32_t offset, uint32_t sum_offset)
{
	value_t value = { .tag = EXPORTS_EBHOST_PLUGIN_DECODER_VALUE_SLOTS };
	slots_t slots = { .offset = offset, .size = 8 };

	slots.sum.is_some = true;
	slots.sum.val = (number_t){ .offset = sum_offset, .size = 8 };
	value.val.slots = slots;
	return value;
}

/* The source of a label: a column of the answer, always the same text, or the CPU's number (per-CPU maps and perf event arrays). */
static inline label_t column(uint32_t column)
{
	label_t label = { .tag = EXPORTS_EBHOST_PLUGIN_DECODER_LABEL_COLUMN };

	label.val.column = column;
	return label;
}

static inline label_t fixed(const char *string)
{
	label_t label = { .tag = EXPORTS_EBHOST_PLUGIN_DECODER_LABEL_FIXED };

	label.val.fixed = text(string);
	return label;
}

static inline label_t cpu(void)
{
	return (label_t){ .tag = EXPORTS_EBHOST_PLUGIN_DECODER_LABEL_CPU };
}

/* Lets each entry feed a family, with as many labels as the family has. */
static inline void feed(view_t *view, uint32_t family, value_t value, const label_t *labels, size_t count)
{
	series_t series = { .family = family, .value = value };

	series.labels.ptr = allocate(count, sizeof(*labels));
	series.labels.len = count;
	if (count)
		memcpy(series.labels.ptr, labels, count * sizeof(*labels));
	view->series.ptr = with_room(view->series.ptr, view->series.len, sizeof(series));
	view->series.ptr[view->series.len++] = series;
}

/* ---- the most frequent view in one call ---- */

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

/* The name that the host found for a lookup of an entry, of so many lookups in the view; NULL: it knows none now. */
static inline const text_t *name(const batch_t *batch, uint32_t entry, uint32_t lookup, uint32_t lookups)
{
	uint32_t found = batch->found.ptr[entry * lookups + lookup];

	return batch->names.ptr[found].is_some ? &batch->names.ptr[found].val : NULL;
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
