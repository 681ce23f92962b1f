// Made by `cargo xtask dashboards`. For classic histograms; with native ones import the files that end in -native.
{
  grafanaDashboards+:: {
    'ebhost-biolatency.json': import 'biolatency.json',
    'ebhost-host.json': import 'host.json',
    'ebhost-llcstat.json': import 'llcstat.json',
    'ebhost-runqlat.json': import 'runqlat.json',
  },
  prometheusAlerts+:: {
    groups+:
      std.parseYaml(importstr '../alerts/biolatency.yml').groups +
      std.parseYaml(importstr '../alerts/host.yml').groups +
      std.parseYaml(importstr '../alerts/llcstat.yml').groups +
      std.parseYaml(importstr '../alerts/runqlat.yml').groups,
  },
}
