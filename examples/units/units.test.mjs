// Tests for `node --test`: the unit to which a path belongs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unit } from './units.js';

const ID = '3fa85f6457174562b3fc2c963f66afa6' + '0'.repeat(32);

for (const [path, kind, name] of [
  ['/system.slice/nginx.service', 'service', 'nginx.service'],
  ['/system.slice/nginx.service/worker', 'service', 'nginx.service'],
  ['/system.slice/system-getty.slice/getty@tty1.service', 'service', 'getty@.service'],
  ['/user.slice/user-1000.slice/session-3.scope', 'user', 'user-1000.slice'],
  ['/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope', 'user', 'user-1000.slice'],
  ['/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service', 'service', 'sync.service'],
  [`/system.slice/docker-${ID}.scope`, 'container', '3fa85f645717'],
  [`/kubepods.slice/kubepods-pod1.slice/cri-containerd-${ID}.scope`, 'container', '3fa85f645717'],
  [`/docker/${ID}`, 'container', '3fa85f645717'],
  [`/kubepods/burstable/pod42/${ID}/init`, 'container', '3fa85f645717'],
  ['/system.slice', 'slice', 'system.slice'],
  ['/init.scope', 'other', 'init.scope'],
  ['/', 'other', 'root'],
]) {
  test(path, () => assert.deepEqual(unit(path), { kind, unit: name }));
}
