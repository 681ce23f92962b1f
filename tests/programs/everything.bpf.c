/* A program of every type that drop-in configurations use. Each counts the actions of `ebhostdo` in a slot of its own. */

/* The command name of `ebhostdo` as one number, and the port that it sends datagrams to. */
const volatile u64 targ_name = 0;
const volatile unsigned short targ_port = 0;

enum slot {
	TRACEPOINT, RAW_TRACEPOINT, TYPED_TRACEPOINT, UPROBE, UPROBE_INSIDE, URETPROBE, USDT, USDT_FIRST, USDT_SECOND,
	USDT_CONSTANT, MARK, SAMPLES, XDP, TC_INGRESS, TC_EGRESS, CGROUP_INGRESS, CGROUP_EGRESS, CGROUP_CONNECT,
	CGROUP_SOCKET, ITERATOR, KPROBE, KRETPROBE, KSYSCALL, KPROBES, KRETPROBES, FENTRY, FEXIT, FMOD_RET, LSM,
	LSM_SLEEPABLE, KERNEL_VERSION, TIMER_FREQUENCY, HAS_BPF, NOT_CONFIGURED, SYMBOL, KADDR, WEAK_SYMBOL,
	TYPED_SYMBOL, KERNEL_FUNCTION, MARK_AGAIN, CONFIG_TEXT, WRITABLE,
	USDT_INDEXED, USDT_INDEXED_SIGNED, UPROBES, URETPROBES, UPROBE_SESSION, KPROBE_SESSION, SLOTS = 48,
};

#define __uint(name, number) int (*name)[number]
#define __type(name, type) typeof(type) *name

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,

	BPF_F_MMAPABLE = 1 << 10,
};

#define TABLE(name, map_type, key_type) \
	struct { __uint(type, map_type); __uint(max_entries, SLOTS); __type(key, key_type); __type(value, u64); } name SEC(".maps")

struct key { u64 id; u32 group; u32 kind; };

TABLE(array, BPF_MAP_TYPE_ARRAY, u32);
TABLE(per_cpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, u32);
TABLE(hash, BPF_MAP_TYPE_HASH, struct key);
TABLE(lru, BPF_MAP_TYPE_LRU_HASH, struct key);
TABLE(per_cpu_hash, BPF_MAP_TYPE_PERCPU_HASH, struct key);
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
} mapped_array SEC(".maps");

/* As in libbpf's usdt.bpf.h: the location of an argument, and the arguments of a probe's location. */
struct argument {
	u64 offset;
	u32 kind : 8, index : 12, scale : 4, unused : 8;
	short reg;
	unsigned char is_signed, shift;
};
struct spec { struct argument arguments[12]; u64 cookie; short count; };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, struct spec);
} __bpf_usdt_specs SEC(".maps");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_get_current_comm)(void *to, u32 size) = (void *)16;
static long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to, u32 size) = (void *)26;
static long (*const bpf_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static void *(*const bpf_per_cpu_ptr)(const void *variable, u32 cpu) = (void *)153;
static u64 (*const bpf_get_attach_cookie)(void *ctx) = (void *)174;

#define __always_inline inline __attribute__((always_inline))
#define GETPPID 110

static __always_inline void add(u32 slot, u64 amount)
{
	u64 *value = bpf_map_lookup_elem(&array, &slot);

	if (value)
		__sync_fetch_and_add(value, amount);
}

static __always_inline int is_doer(void)
{
	u64 comm[2] = {};

	return bpf_get_current_comm(comm, sizeof(comm)) == 0 && comm[0] == targ_name && comm[1] == 0;
}

#define COUNT_DOER(slot) ({ if (is_doer()) add(slot, 1); 0; })

SEC("tracepoint/raw_syscalls/sys_enter") int on_tracepoint(u64 *ctx)
{
	return ctx[1] == GETPPID ? COUNT_DOER(TRACEPOINT) : 0;
}

struct bpf_raw_tracepoint_args { u64 args[0]; } __attribute__((preserve_access_index));

SEC("raw_tp/sys_enter") int on_raw_tracepoint(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1] == GETPPID ? COUNT_DOER(RAW_TRACEPOINT) : 0;
}

#define PUT(map, key_pointer) do { \
	u64 one = 1, *value = bpf_map_lookup_elem(&map, key_pointer); \
	if (value) __sync_fetch_and_add(value, 1); else bpf_map_update_elem(&map, key_pointer, &one, 0); \
} while (0)

SEC("tp_btf/sys_enter") int on_typed_tracepoint(u64 *ctx)
{
	struct key key = { .id = 7, .group = 1, .kind = 2 };
	u32 slot = 5;

	if (ctx[1] != GETPPID || !is_doer())
		return 0;
	add(TYPED_TRACEPOINT, 1);
	PUT(hash, &key);
	PUT(lru, &key);
	PUT(per_cpu_hash, &key);
	PUT(per_cpu_array, &slot);
	PUT(mapped_array, &slot);
	return 0;
}

SEC("uprobe/libc.so.6:getppid") int on_uprobe(void *ctx) { return COUNT_DOER(UPROBE); }
SEC("uprobe/DOER:ebhostdo_two_steps+0x1") int on_uprobe_inside(void *ctx) { return COUNT_DOER(UPROBE_INSIDE); }
SEC("uretprobe/libc.so.6:getppid") int on_uretprobe(void *ctx) { return COUNT_DOER(URETPROBE); }
SEC("uprobe.multi/DOER:ebhostdo_*_steps") int on_uprobes(void *ctx) { return COUNT_DOER(UPROBES); }
SEC("uretprobe.multi/DOER:ebhostdo_t??_*s") int on_uretprobes(u64 *ctx)
{
	/* The return value (rax). */
	if (is_doer())
		add(URETPROBES, ctx[10]);
	return 0;
}

SEC("uprobe.session/DOER:ebhostdo_two_*") int on_uprobe_session(void *ctx) { return COUNT_DOER(UPROBE_SESSION); }

static __always_inline u64 argument(void *ctx, struct spec *spec, u32 number)
{
	struct argument *argument = &spec->arguments[number];
	u64 value = 0, index = 0;

	if (argument->kind == 0)
		return argument->offset;
	bpf_probe_read_kernel(&value, sizeof(value), ctx + argument->reg);
	if (argument->kind == 3)
		bpf_probe_read_kernel(&index, sizeof(index), ctx + argument->index);
	if (argument->kind >= 2)
		bpf_probe_read_user(&value, sizeof(value), (void *)(value + (index << argument->scale) + argument->offset));
	value <<= argument->shift & 63;
	return argument->is_signed ? (u64)((long long)value >> (argument->shift & 63)) : value >> (argument->shift & 63);
}

SEC("usdt/DOER:ebhostdo:step") int on_usdt(void *ctx)
{
	u32 number = bpf_get_attach_cookie(ctx);
	struct spec *spec = bpf_map_lookup_elem(&__bpf_usdt_specs, &number);

	if (!spec || spec->count != 5)
		return 0;
	add(USDT, 1);
	add(USDT_FIRST, argument(ctx, spec, 0));
	add(USDT_SECOND, -argument(ctx, spec, 1));
	add(USDT_CONSTANT, -argument(ctx, spec, 2));
	add(USDT_INDEXED, argument(ctx, spec, 3));
	add(USDT_INDEXED_SIGNED, -argument(ctx, spec, 4));
	return 0;
}

#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))

extern int LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_HZ __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern _Bool CONFIG_NO_SUCH_THING __kconfig __weak;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig;
extern const void schedule __ksym;
extern const void no_such_symbol_here __ksym __weak;
extern const int bpf_prog_active __ksym;

const volatile u64 kaddr_schedule = 0, kaddr_no_such_symbol_here = 0;

SEC("uprobe//proc/self/exe:post_attach_mark") int on_mark(void *ctx)
{
	add(MARK, 1);
	add(KERNEL_VERSION, LINUX_KERNEL_VERSION);
	add(TIMER_FREQUENCY, CONFIG_HZ);
	add(HAS_BPF, CONFIG_BPF_SYSCALL);
	add(NOT_CONFIGURED, !CONFIG_NO_SUCH_THING);
	add(CONFIG_TEXT, CONFIG_DEFAULT_HOSTNAME[0]);
	/* The lower half: served numbers are exact up to 53 bits. */
	add(SYMBOL, (u32)(u64)&schedule);
	add(KADDR, (u32)kaddr_schedule);
	add(WEAK_SYMBOL, &no_such_symbol_here == 0);
	return 0;
}

SEC("raw_tp/sys_exit") int reads_a_typed_symbol(void *ctx)
{
	const int *active = bpf_per_cpu_ptr(&bpf_prog_active, 0);

	return active ? COUNT_DOER(TYPED_SYMBOL) : 0;
}

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

SEC("tp_btf/sys_enter") int calls_the_kernel(u64 *ctx)
{
	if (ctx[1] != GETPPID || !is_doer())
		return 0;
	bpf_rcu_read_lock();
	add(KERNEL_FUNCTION, 1);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("perf_event/type=1,config=2,sample_period=1") int on_page_fault(void *ctx) { return COUNT_DOER(SAMPLES); }

static __always_inline int is_datagram(unsigned char protocol, unsigned char high, unsigned char low)
{
	return protocol == 17 && (high << 8 | low) == targ_port;
}

SEC("xdp/lo") int on_xdp(u32 *ctx)
{
	unsigned char *data = (void *)(u64)ctx[0], *end = (void *)(u64)ctx[1];

	if (data + 38 <= end && is_datagram(data[23], data[36], data[37]))
		add(XDP, 1);
	return 2;
}

static __always_inline void count_datagram(void *skb, u32 network, u32 slot)
{
	unsigned char head[24];

	if (bpf_skb_load_bytes(skb, network, head, sizeof(head)) == 0 && is_datagram(head[9], head[22], head[23]))
		add(slot, 1);
}

SEC("tcx/ingress/lo") int on_ingress(void *skb) { count_datagram(skb, 14, TC_INGRESS); return -1; }
SEC("tcx/egress/lo") int on_egress(void *skb) { count_datagram(skb, 14, TC_EGRESS); return -1; }
SEC("cgroup_skb/ingress") int on_cgroup_ingress(void *skb) { count_datagram(skb, 0, CGROUP_INGRESS); return 1; }
SEC("cgroup_skb/egress") int on_cgroup_egress(void *skb) { count_datagram(skb, 0, CGROUP_EGRESS); return 1; }
SEC("cgroup/connect4") int on_connect(void *ctx) { COUNT_DOER(CGROUP_CONNECT); return 1; }
SEC("cgroup/sock_create") int on_socket(void *ctx) { COUNT_DOER(CGROUP_SOCKET); return 1; }

struct task_struct { char comm[16]; int no_such_field; } __attribute__((preserve_access_index));
struct bpf_iter__task { void *meta; struct task_struct *task; } __attribute__((preserve_access_index));

SEC("iter/task") int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u64 comm[2] = {};

	if (task && bpf_probe_read_kernel(comm, sizeof(comm), &task->comm) == 0 && comm[0] == targ_name)
		add(ITERATOR, 1);
	return 0;
}

SEC("kprobe/__x64_sys_getpgid") int on_kprobe(void *ctx) { return COUNT_DOER(KPROBE); }
SEC("kretprobe/__x64_sys_getpgid") int on_kretprobe(void *ctx) { return COUNT_DOER(KRETPROBE); }
SEC("ksyscall/getpgid") int on_system_call(void *ctx) { return COUNT_DOER(KSYSCALL); }
SEC("kprobe.multi/__x64_sys_getpgi*") int on_kprobes(void *ctx) { return COUNT_DOER(KPROBES); }
SEC("kretprobe.multi/__x64_sys_getpgi?") int on_kretprobes(void *ctx) { return COUNT_DOER(KRETPROBES); }
SEC("kprobe.session/__x64_sys_getpgi?") int on_kprobe_session(void *ctx) { return COUNT_DOER(KPROBE_SESSION); }
SEC("fentry/__x64_sys_getpgid") int on_entry(void *ctx) { return COUNT_DOER(FENTRY); }
SEC("fexit/__x64_sys_getpgid") int on_exit(void *ctx) { return COUNT_DOER(FEXIT); }
SEC("fmod_ret/security_socket_connect") int on_return(void *ctx) { return COUNT_DOER(FMOD_RET); }
SEC("lsm/socket_connect") int on_lsm(void *ctx) { return COUNT_DOER(LSM); }
SEC("lsm.s/socket_connect") int on_lsm_sleepable(void *ctx) { return COUNT_DOER(LSM_SLEEPABLE); }

/* Fires when bpf(2) has run a program for a test. The number that is written here is the result of that call: EDOM. */
SEC("raw_tp.w/bpf_test_finish") int on_writable(int **ctx)
{
	if (is_doer()) {
		add(WRITABLE, 1);
		*ctx[0] = -33;
	}
	return 0;
}

/* Programs that no kernel accepts. */
SEC("nonsense/x") int in_an_unknown_section(void *ctx) { return 0; }
SEC("raw_tp/sys_enter") int reads_anywhere(u64 *ctx) { return *(volatile int *)(ctx[0] * 8); }
SEC("raw_tp/sys_enter") int reads_no_field(u64 *ctx)
{
	return ((struct task_struct *)ctx[0])->no_such_field;
}
SEC("xdp") int on_no_interface(void *ctx) { return 2; }
SEC("tracepoint/no/such") int on_no_tracepoint(void *ctx) { return 0; }
