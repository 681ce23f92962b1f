// How long softirq handlers ran, as a histogram for each vector.
#include "ebhost/counts.h"
#include "ebhost/program.h"
#include "ebhost/stamps.h"

// When the handler that runs on a CPU began. Handlers of one CPU do not nest.
STAMPS_BY_KEY(began, u32, 1024)
// ebhost/counts.h has other kinds of histograms, and plain counters. The component reads it with `Banks::latencies::<u32>("times")`.
LATENCIES(times, u32)

RAW_TP(softirq_entry, u64 vector)
{
	u32 cpu = bpf_get_smp_processor_id();

	began_set(&cpu, bpf_ktime_get_ns());
	return 0;
}

RAW_TP(softirq_exit, u64 vector)
{
	u32 cpu = bpf_get_smp_processor_id(), key = vector;
	u64 since = began_take(&cpu);

	if (since)
		times_observe(&key, bpf_ktime_get_ns() - since);
	return 0;
}

char _license[] SEC("license") = "GPL";
