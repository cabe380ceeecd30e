// The gallery: cards that draw themselves when they come into view, and a viewer with a slider between two layers.
(() => {
  "use strict";
  const { index, load, draw, under } = pictures;
  if (!index) return;
  const byId = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll("#cards > li")];
  const viewer = byId("viewer"), stage = byId("stage"), slider = byId("slider");
  const left = byId("left"), right = byId("right");
  const selects = ["pick-run", "pick-kind", "pick-class", "pick-text"].map(byId);
  let open = null; // { place, image }: what is shown
  let asked = null; // the card that was asked for last; its image may still be on its way

  // Cards.
  function crop(target, image, card) {
    const [x0, y0, x1, y1] = card.box, pen = target.getContext("2d");
    const height = Math.min(image.height, Math.max(1.6 * (y1 - y0), 1.6 * (x1 - x0), 40));
    const width = Math.min(image.width, height), half = target.width / 2;
    const x = Math.min(Math.max((x0 + x1 - width) / 2, 0), image.width - width);
    const y = Math.min(Math.max((y0 + y1 - height) / 2, 0), image.height - height);
    pen.imageSmoothingEnabled = false;
    ["truth", `run-${card.k}`].forEach((layer, side) => {
      pen.drawImage(draw(image, layer, "panoptic"), x, y, width, height, side * half, 0, half - 1 + side, target.height);
      pen.lineWidth = 2;
      for (const [color, grow] of [["#000", 2], ["#fff", 0]]) {
        pen.strokeStyle = color;
        pen.strokeRect(side * half + ((x0 - x) * half) / width - grow, ((y0 - y) * target.height) / height - grow,
          ((x1 - x0) * half) / width + 2 * grow, ((y1 - y0) * target.height) / height + 2 * grow);
      }
    });
    label(pen, "truth", 4);
    label(pen, "prediction", half + 4);
  }

  function label(pen, text, x) {
    pen.font = "20px sans-serif";
    pen.fillStyle = "#000b";
    pen.fillRect(x, 4, pen.measureText(text).width + 10, 28);
    pen.fillStyle = "#fff";
    pen.fillText(text, x + 5, 25);
  }

  async function drawCard(item) {
    const card = index.cards[item.dataset.at], image = await load(card.image), target = item.querySelector("canvas");
    target.width = card.box ? 640 : image.width;
    target.height = card.box ? 320 : image.height;
    if (card.box) crop(target, image, card);
    else target.getContext("2d").drawImage(draw(image, `errors-${card.k}`, ""), 0, 0);
    item.dataset.drawn = "1";
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      drawCard(entry.target);
    }
  }, { rootMargin: "200px" });
  cards.forEach((item) => seen.observe(item));

  function sift() {
    const [run, kind, place, text] = selects.map((select) => (select ? select.value : ""));
    for (const item of cards) {
      const card = index.cards[item.dataset.at];
      item.hidden = !((run === "" || card.k === Number(run)) && (kind === "" || card.kind === kind)
        && (place === "" || index.classes[card.image].includes(Number(place)))
        && card.image_id.toLowerCase().includes(text.trim().toLowerCase()));
    }
    byId("pick-count").textContent = `${cards.filter((item) => !item.hidden).length} of ${cards.length} pictures`;
  }
  for (const select of selects) select?.addEventListener("input", sift);
  sift();

  // Viewer.
  const layers = [["image", "image"], ["truth", "truth"], ...index.runs.flatMap((name, k) => (
    index.shown.includes(k) ? [[`run-${k}`, name], [`errors-${k}`, `errors of ${name}`]] : []))];
  for (const select of [left, right]) for (const [value, name] of layers) select.add(new Option(name, value));
  left.value = index.shown.length > 1 ? `run-${index.shown[0]}` : "truth";
  right.value = `run-${index.shown[index.shown.length > 1 ? 1 : 0]}`;

  const view = () => document.querySelector("input[name=view]:checked").value;

  function show() {
    if (!open) return;
    const { image } = open;
    for (const [id, select] of [["layer-left", left], ["layer-right", right]]) {
      const target = byId(id);
      target.width = image.width;
      target.height = image.height;
      target.getContext("2d").drawImage(draw(image, select.value, view()), 0, 0);
      byId(id.replace("layer", "name")).textContent = select.selectedOptions[0].text;
    }
    slide();
    byId("viewer-legend").replaceChildren(...legend());
  }

  function legend() { // of what is shown: classes, kinds of error, or both
    const errors = [left, right].map((select) => select.value.startsWith("errors"));
    const classes = errors.every(Boolean) ? [] : index.classes[open.place].map((place) => index.categories[place]);
    return [...classes, ...(errors.some(Boolean) ? index.errors : [])].map(({ name, color }) => {
      const item = document.createElement("li"), swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.setProperty("--c", `rgb(${color})`);
      item.append(swatch, name);
      return item;
    });
  }

  function slide() {
    byId("layer-right").style.clipPath = `inset(0 0 0 ${slider.value}%)`;
    byId("divider").style.left = `${slider.value}%`;
  }

  function frame(card, image) {
    const box = byId("found");
    box.hidden = !card?.box;
    if (box.hidden) return;
    const [x0, y0, x1, y1] = card.box;
    box.style.left = `${(100 * x0) / image.width}%`;
    box.style.top = `${(100 * y0) / image.height}%`;
    box.style.width = `${(100 * (x1 - x0)) / image.width}%`;
    box.style.height = `${(100 * (y1 - y0)) / image.height}%`;
  }

  async function enter(place, at, framed) {
    asked = at;
    const image = await load(place), card = index.cards[at];
    if (asked !== at) return; // another one was asked for meanwhile
    open = { place, image };
    stage.style.maxWidth = `calc(${image.width / image.height} * 66vh)`;
    byId("viewer-title").textContent = image.id;
    if (!viewer.open) viewer.showModal();
    show();
    frame(framed ? card : null, image);
  }

  const address = (at) => `#image/${encodeURIComponent(index.cards[at].image_id)}/${at}`;

  function follow() { // #image/<id> or #image/<id>/<card>
    const [kind, id, at] = location.hash.slice(1).split("/");
    if (kind !== "image") return viewer.open ? viewer.close() : undefined;
    const wanted = decodeURIComponent(id ?? "");
    const card = index.cards[at]?.image_id === wanted ? Number(at) : index.cards.findIndex((c) => c.image_id === wanted);
    if (card >= 0) enter(index.cards[card].image, card, card === Number(at));
  }

  function step(by) {
    const shown = cards.filter((item) => !item.hidden).map((item) => Number(item.dataset.at));
    if (asked === null || !shown.length) return;
    const place = shown.indexOf(asked);
    asked = shown[(place + by + shown.length) % shown.length]; // now, since the event of the address comes later
    location.hash = address(asked);
  }

  function keys(event) {
    if (event.target.matches("input[type=search], select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const views = document.querySelectorAll("input[name=view]");
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (["1", "2", "3"].includes(event.key)) {
      views[event.key - 1].checked = true;
      show();
    }
  }

  function point(event) {
    if (!open) return;
    const box = stage.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    if (event.buttons & 1) {
      slider.value = Math.round(100 * x);
      slide();
    }
    const column = Math.floor(x * open.image.width), row = Math.floor(y * open.image.height);
    if (column < 0 || row < 0 || column >= open.image.width || row >= open.image.height) return;
    byId("under").textContent = under(open.image, row * open.image.width + column);
  }

  for (const select of [left, right]) select.addEventListener("change", show);
  for (const radio of document.querySelectorAll("input[name=view]")) radio.addEventListener("change", show);
  slider.addEventListener("input", slide);
  stage.addEventListener("pointermove", point);
  stage.addEventListener("pointerdown", point);
  byId("next").addEventListener("click", () => step(1));
  byId("previous").addEventListener("click", () => step(-1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("keydown", keys);
  viewer.addEventListener("close", () => {
    const item = cards[asked];
    open = asked = null;
    if (location.hash.startsWith("#image/")) history.replaceState(null, "", "#gallery");
    item?.querySelector("a").focus();
  });
  window.addEventListener("hashchange", follow);
  follow();
})();
