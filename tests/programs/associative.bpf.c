/*
 * The tables of ebhost/associative.h with far more keys than room, and programs that work in the same rows at the same time: on all CPUs, and in interrupts
 * of a program that is in the middle of a row.
 *
 * Each key is worked with by one program on one CPU, as the header demands, so that program knows whether the key has a value and which. A value has the
 * number of its key in its upper half: one of another key is told apart from an old one.
 */
#include "current.h"
#include "ebhost/associative.h"
#include "ebhost/program.h"

#ifdef BROKEN
/* Takes a place without looking whether another program takes it too. */
#define associative_claim(claims, key) (!READ_ONCE(*(key)) && (__sync_fetch_and_add(claims, 1), true))
#endif

enum {
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};

static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static long (*const bpf_get_current_comm)(void *comm, u32 size) = (void *)16;

char LICENSE[] SEC("license") = "GPL";

/* The first 8 bytes of the names of threads: those that call, those that sleep and are woken, and the one that ends the test. */
const volatile u64 targ_caller = 0;
const volatile u64 targ_sleeper = 0;
const volatile u64 targ_reporter = 0;
const volatile u32 targ_getppid = 110;

#define CPUS 64
/* Keys of a program on a CPU. Two CPUs have 32 together, for 12 places. */
#define SLOTS 8
#define ROWS 4
#define MORE 4

enum context { IN_PROCESS, IN_INTERRUPT, CONTEXTS };
#define KEYS (CPUS * CONTEXTS * SLOTS)

enum table { PLAIN, WIDE, NUMBERS, TASKS, TABLES };

/* The test knows the order of these. */
enum total {
	PUT, /* keys that had no value and got one */
	REMOVED, /* keys that had a value and have none any more */
	FULL, /* values that found no room */
	FOREIGN, /* values of another key */
	OTHER, /* values that the key has no more, or never had */
	MISSING, /* values that are gone, although nobody removed them */
	LOST, /* what the header says that it lost */
	TOTALS = 8,
};

enum run { CALLS, INTERRUPTS, NESTED_INTERRUPTS, WAKEUPS, NESTED_WAKEUPS, RUNS };

struct wide {
	u64 words[3];
};

ASSOCIATIVE(plain, ROWS)
ASSOCIATIVE_OF(triple, ROWS, struct wide)
STAMPS_BY_NUMBER(numbers, ROWS, MORE)
ASSOCIATIVE_BY_TASK(tasks, 1)

#define TABLE(map, map_type, flags, key_type, entries) \
	struct { \
		__uint(type, map_type); \
		__uint(max_entries, entries); \
		__uint(map_flags, flags); \
		__type(key, key_type); \
		__type(value, u64); \
	} map SEC(".maps")

/* The value that each key of a table should have; 0: none. */
TABLE(expected, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, u32, TASKS *KEYS);
/* The same of tasks, by thread id. */
TABLE(task_values, BPF_MAP_TYPE_HASH, 0, u32, 1024);
TABLE(totals, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, u32, TABLES *TOTALS);
TABLE(runs, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, u32, RUNS);
/* Whether the CPU is inside the program in process context. */
TABLE(inside, BPF_MAP_TYPE_PERCPU_ARRAY, 0, u32, 1);

static __always_inline void add(void *map, u32 index)
{
	u64 *count = bpf_map_lookup_elem(map, &index);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void note(enum table table, enum total total)
{
	add(&totals, table * TOTALS + total);
}

static __always_inline u64 new_value(u32 id)
{
	return (u64)id << 32 | bpf_get_prandom_u32() | 1;
}

static __always_inline bool by_chance(void)
{
	return bpf_get_prandom_u32() & 1;
}

static __always_inline void check(enum table table, u32 id, u64 found, u64 expected)
{
	if (found == expected)
		return;
	note(table, !found ? MISSING : found >> 32 != id ? FOREIGN : OTHER);
}

/* Notes that a key has this value now; 0: none. */
static __always_inline void becomes(enum table table, u64 *expected, u64 value)
{
	if (!*expected && value)
		note(table, PUT);
	if (*expected && !value)
		note(table, REMOVED);
	*expected = value;
}

static __always_inline void work_plain(u32 id, u64 *expected)
{
	u64 *found = plain_find(id), value = new_value(id);

	check(PLAIN, id, found ? *found : 0, *expected);
	if (by_chance()) {
		if (plain_put(id, value))
			return becomes(PLAIN, expected, value);
		note(PLAIN, FULL);
		value = 0;
	} else if (!plain_remove(id, &value)) {
		value = 0;
	}
	check(PLAIN, id, value, *expected);
	becomes(PLAIN, expected, 0);
}

static __always_inline struct wide wide_of(u64 value)
{
	return (struct wide){ { value, ~value, value * 3 } };
}

/* The value that three words are made of. Words of two values are nobody's. */
static __always_inline u64 value_in(const struct wide *wide)
{
	u64 value = wide->words[0];

	return wide->words[1] == ~value && wide->words[2] == value * 3 ? value : 1;
}

static __always_inline void work_wide(u32 id, u64 *expected)
{
	struct wide *found = triple_find(id), wide = wide_of(new_value(id));
	u64 value = 0;

	check(WIDE, id, found ? value_in(found) : 0, *expected);
	if (by_chance()) {
		if (triple_put(id, wide))
			return becomes(WIDE, expected, wide.words[0]);
		note(WIDE, FULL);
	} else if (triple_remove(id, &wide)) {
		value = value_in(&wide);
	}
	check(WIDE, id, value, *expected);
	becomes(WIDE, expected, 0);
}

static __always_inline void work_number(u32 id, u64 *expected)
{
	u64 value = new_value(id);

	if (!by_chance()) {
		check(NUMBERS, id, numbers_take(id), *expected);
		value = 0;
	} else if (!numbers_set(id, value)) {
		note(NUMBERS, FULL);
		value = 0;
	}
	becomes(NUMBERS, expected, value);
}

static __always_inline void work_task(struct task_struct *task)
{
	u32 id = task->pid;
	u64 *expected = bpf_map_lookup_elem(&task_values, &id), *found, value = 0;

	if (!expected) {
		bpf_map_update_elem(&task_values, &id, &value, BPF_NOEXIST);
		expected = bpf_map_lookup_elem(&task_values, &id);
	}
	if (!expected)
		return;
	found = tasks_at(task);
	/* A number that was taken from its row may have an older one in the task's storage: so tasks without a number are not looked at. */
	if (*expected)
		check(TASKS, id, found ? *found : 0, *expected);
	if (by_chance()) {
		value = new_value(id);
		if (!tasks_set(task, value)) {
			note(TASKS, FULL);
			value = 0;
		}
	} else {
		u64 taken = tasks_take(task);

		if (*expected)
			check(TASKS, id, taken, *expected);
	}
	becomes(TASKS, expected, value);
}

static __always_inline void work(enum context context)
{
	u32 cpu = bpf_get_smp_processor_id(), slot = bpf_get_prandom_u32() % SLOTS;
	u32 at = (cpu * CONTEXTS + context) * SLOTS + slot, id = at + 1;
	u64 *plain, *wide, *number;

	if (cpu >= CPUS)
		return;
	plain = bpf_map_lookup_elem(&expected, &at);
	at += KEYS;
	wide = bpf_map_lookup_elem(&expected, &at);
	at += KEYS;
	number = bpf_map_lookup_elem(&expected, &at);
	if (!plain || !wide || !number)
		return;
	work_plain(id, plain);
	work_wide(id, wide);
	work_number(id, number);
}

static __always_inline u64 current_name(void)
{
	u64 comm[2] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0];
}

static __always_inline void report(enum table table, u64 lost)
{
	u32 index = table * TOTALS + LOST;
	u64 *total = bpf_map_lookup_elem(&totals, &index);

	if (total)
		*total = lost;
}

SEC("raw_tp/sys_enter")
int in_process(u64 *ctx)
{
	u32 zero = 0;
	u64 *here, name;

	if (ctx[1] != targ_getppid)
		return 0;
	name = current_name();
	if (name == targ_reporter) {
		report(NUMBERS, numbers_more_lost);
		report(TASKS, tasks_s_old_lost);
	}
	here = bpf_map_lookup_elem(&inside, &zero);
	if (name != targ_caller || !here)
		return 0;
	WRITE_ONCE(*here, 1);
	add(&runs, CALLS);
	work(IN_PROCESS);
	work_task(bpf_get_current_task_btf());
	WRITE_ONCE(*here, 0);
	return 0;
}

static __always_inline void note_run(enum run run)
{
	u32 zero = 0;
	u64 *here = bpf_map_lookup_elem(&inside, &zero);

	add(&runs, run);
	if (here && READ_ONCE(*here))
		add(&runs, run + 1);
}

/* The CPU clock, every 20 µs. */
SEC("perf_event/type=1,config=0,sample_period=20000")
int in_interrupt(void *ctx)
{
	if (current_name() != targ_caller)
		return 0;
	note_run(INTERRUPTS);
	work(IN_INTERRUPT);
	return 0;
}

/* A task that sleeps is woken in an interrupt of the clock. Nobody else works with it, because it is asleep. */
TP_BTF(sched_wakeup, struct task_struct *task)
{
	if (*(u64 *)task->comm != targ_sleeper)
		return 0;
	note_run(WAKEUPS);
	work_task(task);
	return 0;
}

TP_BTF(sched_process_free, struct task_struct *task)
{
	tasks_forget(task);
	return 0;
}
