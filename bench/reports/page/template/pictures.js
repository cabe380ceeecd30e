// Pictures: a photo and compressed maps of segment ids, coloured here. The same colours as the PNGs of the report.
const pictures = (() => {
  "use strict";
  const KEPT = 16;
  const SHADES = [0, 0.35, -0.3, 0.2, 0.5, -0.15];
  const OVERLAY = 158, ERROR = 184, WHITE = 0xffffffff; // opacity of 255; red in the lowest byte
  const source = document.getElementById("gallery-index");
  const index = source ? JSON.parse(source.textContent) : null;
  const kept = new Map();

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint16Array(await new Response(stream).arrayBuffer());
  }

  async function maps(from) {
    const [ids, codes, semantic] = await Promise.all(
      [from.ids, from.codes, from.semantic].map((text) => (text ? unpack(text) : null)));
    return { ids, codes, semantic, segments: from.segments };
  }

  // A canvas of the photo in grey below, and of the photo itself.
  async function read(at) {
    const raw = JSON.parse(document.getElementById(`image-${at}`).textContent);
    const photo = new Image();
    photo.src = raw.photo;
    const runs = Object.entries(raw.runs).map(async ([k, from]) => [k, await maps(from)]);
    const [truth, list] = await Promise.all([maps(raw.truth), Promise.all(runs), photo.decode()]);
    const plain = canvas(raw.width, raw.height), grey = canvas(raw.width, raw.height);
    plain.getContext("2d").drawImage(photo, 0, 0);
    const pen = grey.getContext("2d");
    pen.drawImage(photo, 0, 0);
    pen.globalCompositeOperation = "saturation";
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, raw.width, raw.height);
    return { id: raw.id, width: raw.width, height: raw.height, plain, grey, truth, runs: Object.fromEntries(list), drawn: new Map() };
  }

  function load(at) {
    const found = kept.get(at) ?? read(at);
    kept.delete(at);
    kept.set(at, found); // the latest last
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return found;
  }

  function canvas(width, height) {
    const made = document.createElement("canvas");
    made.width = width;
    made.height = height;
    return made;
  }

  const rgba = (red, green, blue, alpha) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const shade = (color, amount) => color.map((c) => Math.round(c + Math.abs(amount) * ((amount > 0 ? 255 : 0) - c)));

  function wheel(turn) { // well apart hues for instances
    const hue = (turn * 137.508) % 360, part = (n) => {
      const k = (n + hue / 30) % 12;
      return Math.round(255 * (0.55 - 0.4 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
    };
    return [part(0), part(8), part(4)];
  }

  // A colour for each dense id, void first; 0 leaves the grey photo as it is.
  function colors(map, view) {
    const seen = {}, table = new Uint32Array(map.segments.length + 1);
    let things = 0;
    table[0] = view === "instances" ? 0 : rgba(0, 0, 0, 170);
    map.segments.forEach(([place, , crowd], i) => {
      const { color, isthing } = index.categories[place];
      const turn = (seen[place] = (seen[place] ?? -1) + 1);
      const used = view === "instances" ? wheel(things) : shade(color, view === "panoptic" && isthing ? SHADES[turn % SHADES.length] : 0);
      if (isthing) things += 1;
      const shown = view !== "instances" || isthing;
      table[i + 1] = shown ? rgba(...used, crowd ? 90 : OVERLAY) : 0;
    });
    return table;
  }

  function classColors() {
    return Uint32Array.from([rgba(0, 0, 0, 170), ...index.categories.map((c) => rgba(...c.color, OVERLAY))]);
  }

  function edges(pixels, map, width, height) { // white where another segment begins and one of the two is a thing
    const thing = [false, ...map.segments.map(([place]) => index.categories[place].isthing)], { ids } = map;
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        const own = ids[at];
        for (const other of [x + 1 < width ? ids[at + 1] : own, y + 1 < height ? ids[at + width] : own]) {
          if (own !== other && (thing[own] || thing[other])) pixels[at] = WHITE;
        }
      }
    }
  }

  function tinted(image, pixels) {
    const top = canvas(image.width, image.height), whole = canvas(image.width, image.height);
    const bytes = new Uint8ClampedArray(pixels.buffer);
    top.getContext("2d").putImageData(new ImageData(bytes, image.width, image.height), 0, 0);
    const pen = whole.getContext("2d");
    pen.drawImage(image.grey, 0, 0);
    pen.drawImage(top, 0, 0);
    return whole;
  }

  function code(image, run, at) {
    return run.codes[image.truth.ids[at] * (run.segments.length + 1) + run.ids[at]];
  }

  function errors(image, run) {
    const table = index.errors.map((error) => rgba(...error.color, ERROR));
    return tinted(image, Uint32Array.from(run.ids, (_, at) => table[code(image, run, at)]));
  }

  function overlay(image, map, view) {
    const own = view === "semantic" && map.semantic;
    const table = own ? classColors() : colors(map, view);
    const pixels = Uint32Array.from(own ? map.semantic : map.ids, (id) => table[id]);
    if (view !== "semantic") edges(pixels, map, image.width, image.height);
    return tinted(image, pixels);
  }

  // layer: "image", "truth", "run-0", "errors-0", ...
  function draw(image, layer, view) {
    const [kind, k] = layer.split("-"), key = `${layer} ${kind === "errors" ? "" : view}`;
    if (kind === "image" || (kind !== "truth" && !image.runs[k])) return image.plain;
    if (!image.drawn.has(key)) {
      const map = kind === "truth" ? image.truth : image.runs[k];
      image.drawn.set(key, kind === "errors" ? errors(image, map) : overlay(image, map, view));
    }
    return image.drawn.get(key);
  }

  // What is at a pixel, in words.
  function told(image, map, at) {
    const segment = map.segments[map.ids[at] - 1];
    return segment ? `${index.categories[segment[0]].name}, ${segment[1].toLocaleString("en")} px${segment[2] ? ", crowd" : ""}` : "void";
  }

  function under(image, at) {
    const runs = Object.entries(image.runs).map(([k, run]) =>
      `${index.runs[k]}: ${told(image, run, at)} (${index.errors[code(image, run, at)].name})`);
    return [`truth: ${told(image, image.truth, at)}`, ...runs].join(" · ");
  }

  return { index, load, draw, under };
})();
