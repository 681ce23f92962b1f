/* Labels for the entries that __NAME__.bpf.c counts in: forks, execs and exits of processes, by command name. */
#include <stdio.h>

#include "config.h"
#include "ebhost.h"

/* As in __NAME__.bpf.c. */
struct key {
	uint32_t event;
	uint8_t comm[16];
};

/* `enum event` there, from 0. */
static const char *const EVENTS[] = { "fork", "exec", "exit" };

enum view { VIEW_EVENTS, VIEW_LOST, VIEWS };
enum family { FAMILY_EVENTS, FAMILY_LOST, FAMILIES };
enum { COLUMNS = 2 };

/* `config` in plugin.yaml: only these command names; empty: all. */
static texts_t commands;

bool exports_ebhost_plugin_decoder_describe(text_t *config, manifest_t *ret, text_t *err)
{
	static const char *const labels[] = { "event", "comm", NULL }, *const none[] = { NULL };

	const struct key_of_config keys[] = { { .name = "commands", .texts = &commands } };

	if (!read_config(*config, keys, sizeof(keys) / sizeof(keys[0]), err))
		return false;
	manifest(ret, FAMILIES, VIEWS);
	ret->families.ptr[FAMILY_EVENTS] =
		counter("__NAME___events_total", "What processes did, by event and command name.", labels);
	ret->families.ptr[FAMILY_LOST] = counter("__NAME___lost_total", "Events that the map had no room for.", none);
	ret->views.ptr[VIEW_EVENTS] = table("events", sizeof(struct key), sizeof(struct key), COLUMNS, FAMILY_EVENTS);
	ret->views.ptr[VIEW_LOST] = table("lost", sizeof(uint32_t), 0, 0, FAMILY_LOST);
	return true;
}

/* The label of an event, also of one that has no name above. */
static uint32_t event(rows_t *rows, uint32_t number)
{
	char name[sizeof("event_4294967295")];

	if (number < sizeof(EVENTS) / sizeof(EVENTS[0]))
		return place(rows, text(EVENTS[number]));
	snprintf(name, sizeof(name), "event_%u", (unsigned)number);
	return place(rows, text(name));
}

/* The host calls this once for each key and counts by itself. */
void exports_ebhost_plugin_decoder_decode(batch_t *batch, rows_t *ret)
{
	bool is_events = batch->view == VIEW_EVENTS;

	answer(ret, batch, is_events ? COLUMNS : 0);
	for (uint32_t entry = 0; is_events && entry < batch->count; entry++) {
		uint32_t *labels = &ret->labels.ptr[entry * COLUMNS];
		struct key key;

		memcpy(&key, &batch->identities.ptr[entry * sizeof(key)], sizeof(key));
		text_t comm = c_string(key.comm, sizeof(key.comm));
		if (commands.len && !contains(&commands, comm)) {
			free(comm.ptr);
			skip(ret, entry);
			continue;
		}
		labels[0] = event(ret, key.event);
		labels[1] = place(ret, comm);
	}
	exports_ebhost_plugin_decoder_batch_free(batch);
}
