// Made by `cargo xtask dashboards`. For classic histograms; with native ones import the files that end in -native.
{
  grafanaDashboards+:: {
    'ebhost-biolatency.json': import 'biolatency.json',
    'ebhost-cachestat.json': import 'cachestat.json',
    'ebhost-fslatency.json': import 'fslatency.json',
    'ebhost-host.json': import 'host.json',
    'ebhost-llcstat.json': import 'llcstat.json',
    'ebhost-nvme.json': import 'nvme.json',
    'ebhost-oom.json': import 'oom.json',
    'ebhost-pagefaults.json': import 'pagefaults.json',
    'ebhost-reclaim.json': import 'reclaim.json',
    'ebhost-runqlat.json': import 'runqlat.json',
    'ebhost-syscalls.json': import 'syscalls.json',
    'ebhost-writeback.json': import 'writeback.json',
  },
  prometheusAlerts+:: {
    groups+:
      std.parseYaml(importstr '../alerts/biolatency.yml').groups +
      std.parseYaml(importstr '../alerts/cachestat.yml').groups +
      std.parseYaml(importstr '../alerts/fslatency.yml').groups +
      std.parseYaml(importstr '../alerts/host.yml').groups +
      std.parseYaml(importstr '../alerts/llcstat.yml').groups +
      std.parseYaml(importstr '../alerts/nvme.yml').groups +
      std.parseYaml(importstr '../alerts/oom.yml').groups +
      std.parseYaml(importstr '../alerts/pagefaults.yml').groups +
      std.parseYaml(importstr '../alerts/reclaim.yml').groups +
      std.parseYaml(importstr '../alerts/runqlat.yml').groups +
      std.parseYaml(importstr '../alerts/syscalls.yml').groups +
      std.parseYaml(importstr '../alerts/writeback.yml').groups,
  },
}
