/* Every kind of family, with the helpers of ebhost.h: a histogram and a gauge with a label that the host looks up, and a counter by CPU. */
#include "config.h"
#include "ebhost.h"

struct key {
	uint32_t disk;
	uint32_t kind;
};

struct value {
	uint64_t slots[3];
	uint64_t sum;
	uint64_t depth;
};

enum family { FAMILY_LATENCY, FAMILY_DEPTH, FAMILY_ENTRIES, FAMILY_RUNS, FAMILIES };
enum view { VIEW_REQUESTS, VIEW_RUNS, VIEWS };
enum { COLUMNS = 2, LOOKUPS = 1 };

static texts_t kinds;
static text_t prefix;
static int64_t least;
static bool all;

bool exports_ebhost_plugin_decoder_describe(text_t *config, manifest_t *ret, text_t *err)
{
	static const char *const labels[] = { "device", "kind", NULL }, *const by_cpu[] = { "cpu", "source", NULL }, *const none[] = { NULL };
	static const double bounds[] = { 0.001, 0.01 };
	const struct key_of_config keys[] = {
		{ .name = "kinds", .texts = &kinds },
		{ .name = "prefix", .text = &prefix },
		{ .name = "least", .number = &least },
		{ .name = "all", .flag = &all },
	};
	const label_t columns[] = { column(0), column(1) };

	if (!read_config(*config, keys, sizeof(keys) / sizeof(keys[0]), err))
		return false;
	manifest(ret, FAMILIES, VIEWS);
	ret->families.ptr[FAMILY_LATENCY] =
		in_unit(histogram("kinds_latency_seconds", "Latency of requests.", labels, bounds, 2), "seconds", 1e9);
	ret->families.ptr[FAMILY_DEPTH] =
		gauge("kinds_depth", "Requests in flight.", labels, EXPORTS_EBHOST_PLUGIN_DECODER_FOLD_SUM);
	ret->families.ptr[FAMILY_ENTRIES] =
		gauge("kinds_entries", "Entries of the map.", none, EXPORTS_EBHOST_PLUGIN_DECODER_FOLD_SUM);
	ret->families.ptr[FAMILY_RUNS] = counter("kinds_runs_total", "Runs of the program.", by_cpu);

	view_t requests = view_of("requests", sizeof(struct key), sizeof(struct value), COLUMNS);
	uint32_t disk = identify(&requests, EXPORTS_EBHOST_PLUGIN_DECODER_PART_KEY, 0, 4);

	identify(&requests, EXPORTS_EBHOST_PLUGIN_DECODER_PART_KEY, 4, 4);
	look_up(&requests, "block-device", disk);
	feed(&requests, FAMILY_LATENCY, slots(0, offsetof(struct value, sum)), columns, COLUMNS);
	feed(&requests, FAMILY_DEPTH, number(offsetof(struct value, depth), 8), columns, COLUMNS);
	feed(&requests, FAMILY_ENTRIES, one(), NULL, 0);
	ret->views.ptr[VIEW_REQUESTS] = requests;

	view_t runs = view_of("runs", sizeof(uint32_t), sizeof(uint64_t), 0);
	const label_t of_runs[] = { cpu(), fixed("sched_switch") };

	feed(&runs, FAMILY_RUNS, number(0, 8), of_runs, 2);
	ret->views.ptr[VIEW_RUNS] = runs;
	return true;
}

void exports_ebhost_plugin_decoder_decode(batch_t *batch, rows_t *ret)
{
	bool is_requests = batch->view == VIEW_REQUESTS;

	answer(ret, batch, is_requests ? COLUMNS : 0);
	for (uint32_t entry = 0; is_requests && entry < batch->count; entry++) {
		const text_t *device = name(batch, entry, 0, LOOKUPS);
		struct key key;

		memcpy(&key, &batch->identities.ptr[entry * sizeof(key)], sizeof(key));
		if (!device || (!all && key.kind < least)) {
			skip(ret, entry);
			continue;
		}
		if (key.kind >= kinds.len) {
			unknown(ret, entry, text("a kind without a name"));
			continue;
		}
		text_t label = text_of((const char *)kinds.ptr[key.kind].ptr, kinds.ptr[key.kind].len);

		ret->labels.ptr[entry * COLUMNS] = place(ret, text_of((const char *)device->ptr, device->len));
		ret->labels.ptr[entry * COLUMNS + 1] = place(ret, label);
	}
	exports_ebhost_plugin_decoder_batch_free(batch);
}
