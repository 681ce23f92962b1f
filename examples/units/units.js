// The unit that a cgroup belongs to: a service of systemd, a container, a user's slice. Cgroups below a unit are folded into it.

const HEX = '[0-9a-f]{12}[0-9a-f]*';
// docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope; /docker/ID without systemd.
const SCOPED = new RegExp(`^(docker|cri-containerd|crio|libpod)-(${HEX})\\.scope$`);
const BARE = new RegExp(`/(docker|lxc|kubepods)/(?:[^/]*/)*(${HEX})(?:/|$)`);
// A container is named by the first 12 digits of its id, as in `docker ps`.
const SHORT = 12;

const container = (id) => ({ kind: 'container', unit: id.slice(0, SHORT) });

// `getty@tty1.service` and `getty@tty2.service` are `getty@.service`.
const template = (unit) => unit.replace(/@[^.]*\.service$/, '@.service');

/** The innermost unit that is meaningful to an operator. */
export function unit(path) {
  const parts = path.split('/').filter((part) => part !== '');
  for (const part of [...parts].reverse()) {
    const scoped = SCOPED.exec(part);
    if (scoped) return container(scoped[2]);
  }
  const bare = BARE.exec(path);
  if (bare) return container(bare[2]);
  const service = parts.findLast((part) => part.endsWith('.service') && !part.startsWith('user@'));
  if (service !== undefined) return { kind: 'service', unit: template(service) };
  const user = parts.find((part) => /^user-\d+\.slice$/.test(part));
  if (user !== undefined) return { kind: 'user', unit: user };
  const slice = parts.findLast((part) => part.endsWith('.slice'));
  if (slice !== undefined) return { kind: 'slice', unit: slice };
  return { kind: 'other', unit: parts[0] ?? 'root' };
}
