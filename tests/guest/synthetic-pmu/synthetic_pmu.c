// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * A PMU that is none: it stands where a machine's own would (PERF_TYPE_RAW, so that hardware/… and hw-cache/… events are its), and
 * counts what it is told. For guests in tests, which have no PMU: it shows that a path counts right, never how a cache behaves.
 *
 * `echo "REFERENCES MISSES" > /proc/synthetic_pmu` causes so many of both on the CPU and for the process that writes. Cycles are
 * nanoseconds of the clock, so that what an event should have counted is the time that it was wanted for. It has COUNTERS counters a
 * CPU; more events than that take turns, and a group of more is refused, as with a real one.
 */
#include <linux/module.h>
#include <linux/perf_event.h>
#include <linux/proc_fs.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#define COUNTERS 2

enum kind {
	REFERENCES,
	MISSES,
	CAUSED, /* how many kinds the file causes */
	CLOCK = CAUSED,
	NEVER, /* is wanted and never gets a counter */
	KINDS,
};

struct counters {
	u64 caused[CAUSED];
	int busy;
};

static DEFINE_PER_CPU(struct counters, cpus);
static struct pmu synthetic;

static int kind_of(const struct perf_event_attr *attr)
{
	const u64 last_level_read = PERF_COUNT_HW_CACHE_LL | PERF_COUNT_HW_CACHE_OP_READ << 8;

	if (attr->type == PERF_TYPE_HARDWARE) {
		switch (attr->config) {
		case PERF_COUNT_HW_CACHE_REFERENCES: return REFERENCES;
		case PERF_COUNT_HW_CACHE_MISSES: return MISSES;
		case PERF_COUNT_HW_CPU_CYCLES: return CLOCK;
		}
	} else if (attr->type == PERF_TYPE_HW_CACHE) {
		if (attr->config == (last_level_read | PERF_COUNT_HW_CACHE_RESULT_ACCESS << 16))
			return REFERENCES;
		if (attr->config == (last_level_read | PERF_COUNT_HW_CACHE_RESULT_MISS << 16))
			return MISSES;
	} else if (attr->type == PERF_TYPE_RAW && attr->config < KINDS) {
		return attr->config;
	}
	return -ENOENT;
}

static bool takes_a_counter(const struct perf_event *event)
{
	return event->pmu == &synthetic;
}

static int synthetic_init(struct perf_event *event)
{
	struct perf_event *leader = event->group_leader, *sibling;
	int kind = kind_of(&event->attr), counters = 1;

	if (kind < 0)
		return kind;
	event->hw.config = kind;
	if (leader == event)
		return 0;
	counters += takes_a_counter(leader);
	for_each_sibling_event(sibling, leader)
		counters += takes_a_counter(sibling);
	return counters > COUNTERS ? -EINVAL : 0;
}

static u64 counted(const struct perf_event *event)
{
	return event->hw.config < CAUSED ? this_cpu_read(cpus.caused[event->hw.config]) : ktime_get_mono_fast_ns();
}

static void synthetic_read(struct perf_event *event)
{
	u64 now, last;

	if (event->hw.state & PERF_HES_STOPPED)
		return;
	now = counted(event);
	last = local64_xchg(&event->hw.prev_count, now);
	local64_add(now - last, &event->count);
}

static void synthetic_start(struct perf_event *event, int flags)
{
	local64_set(&event->hw.prev_count, counted(event));
	event->hw.state = 0;
}

static void synthetic_stop(struct perf_event *event, int flags)
{
	synthetic_read(event);
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
}

static int synthetic_add(struct perf_event *event, int flags)
{
	struct counters *cpu = this_cpu_ptr(&cpus);

	if (event->hw.config == NEVER || cpu->busy == COUNTERS)
		return -EAGAIN;
	cpu->busy++;
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
	if (flags & PERF_EF_START)
		synthetic_start(event, flags);
	return 0;
}

static void synthetic_del(struct perf_event *event, int flags)
{
	synthetic_stop(event, flags);
	this_cpu_ptr(&cpus)->busy--;
}

PMU_FORMAT_ATTR(event, "config:0-7");
PMU_EVENT_ATTR_STRING(references, references, "event=0x00");
PMU_EVENT_ATTR_STRING(misses, misses, "event=0x01");
PMU_EVENT_ATTR_STRING(clock, clock_ns, "event=0x02");

static struct attribute *formats[] = { &format_attr_event.attr, NULL };
static struct attribute *events[] = { &references.attr.attr, &misses.attr.attr, &clock_ns.attr.attr, NULL };
static const struct attribute_group format_group = { .name = "format", .attrs = formats };
static const struct attribute_group event_group = { .name = "events", .attrs = events };
static const struct attribute_group *groups[] = { &format_group, &event_group, NULL };

static struct pmu synthetic = {
	.module = THIS_MODULE,
	.attr_groups = groups,
	.capabilities = PERF_PMU_CAP_NO_INTERRUPT | PERF_PMU_CAP_NO_EXCLUDE,
	.task_ctx_nr = perf_hw_context,
	.event_init = synthetic_init,
	.add = synthetic_add,
	.del = synthetic_del,
	.start = synthetic_start,
	.stop = synthetic_stop,
	.read = synthetic_read,
};

static ssize_t cause(struct file *file, const char __user *from, size_t length, loff_t *at)
{
	u64 references, misses;
	char text[64] = {};

	if (length >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, length))
		return -EFAULT;
	if (sscanf(text, "%llu %llu", &references, &misses) != 2)
		return -EINVAL;
	preempt_disable();
	this_cpu_add(cpus.caused[REFERENCES], references);
	this_cpu_add(cpus.caused[MISSES], misses);
	preempt_enable();
	return length;
}

static const struct proc_ops causes = { .proc_write = cause };

static int __init synthetic_load(void)
{
	if (!proc_create("synthetic_pmu", 0200, NULL, &causes))
		return -ENOMEM;
	/* Named as a core's PMU is, for it stands for one. */
	return perf_pmu_register(&synthetic, "cpu_synthetic", PERF_TYPE_RAW);
}

module_init(synthetic_load);
MODULE_DESCRIPTION("A PMU that counts what it is told, for tests");
MODULE_LICENSE("GPL");
