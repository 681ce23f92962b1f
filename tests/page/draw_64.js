(async () => {
  const { Family, Store } = await import("/page/store.js");
  const { groupFrames, heatMap } = await import("/page/rates.js");
  const { drawHeatMap, palette } = await import("/page/draw.js");
  const bounds = Array.from({ length: 63 }, (_, at) => 1e-6 * 1.3 ** at);
  const family = new Family({ origin: "package", pack: "p", name: "n", unit: "seconds", help: "", times: 1, per: 1, kind: "histogram", cell: 1, sum: 0, rows: [...bounds, Infinity] });
  const store = new Store();
  for (let at = 0; at < 4; at++) family.find(`device="d${at}"`);
  const start = Date.now() - 300_000;
  for (let second = 0; second < 300; second++) {
    const t = start + second * 1000;
    store.frames.push(t, second === 0);
    const cells = Array.from({ length: 256 }, (_, at) => at);
    family.columns.push(t, cells, cells.map((cell) => (cell * 7919 + second) % 100));
  }
  const canvas = document.createElement("canvas");
  document.body.append(canvas);
  canvas.getContext("2d", { willReadFrequently: true });
  const colours = palette();
  const filter = { chosen: new Map(), words: [] };
  const times = [];
  for (let round = 0; round < 10; round++) {
    const before = performance.now();
    const span = { from: start - 1000, to: start + 300_000 };
    const groups = groupFrames(store.frames.between(span.from, span.to), 800);
    const map = heatMap(family, groups, span.from, span.to, filter);
    drawHeatMap(canvas, colours, family, groups, map, span, { first: 0, last: 63 }, 400);
    canvas.getContext("2d").getImageData(0, 0, 1, 1);
    times.push(performance.now() - before);
  }
  canvas.remove();
  return times;
})()
