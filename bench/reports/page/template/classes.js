// Classes: which measure is shown, in what order, and which classes. Tables: a hint where one is wider than the screen.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const order = byId("class-order"), filter = byId("class-filter"), count = byId("class-count");

  const values = (row) => [...row.querySelectorAll("data")].map((data) => Number(data.value));
  const mean = (list) => (list.length ? list.reduce((a, b) => a + b, 0) / list.length : null);
  const keys = {
    space: (row) => Number(row.dataset.at),
    worst: (row) => mean(values(row)) ?? 2,
    best: (row) => -(mean(values(row)) ?? -1),
    gap: (row) => (values(row).length ? Math.min(...values(row)) - Math.max(...values(row)) : 1),
  };

  function sort() {
    const key = keys[order.value];
    for (const body of document.querySelectorAll("#classes tbody")) {
      body.append(...[...body.rows].sort((a, b) => key(a) - key(b) || a.dataset.at - b.dataset.at));
    }
  }

  function sift() {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of document.querySelectorAll("tr[data-class]")) {
      row.hidden = !row.dataset.class.toLowerCase().includes(wanted);
    }
    const rows = [...document.querySelectorAll(".heat tr[data-class]")];
    count.textContent = wanted ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} classes` : "";
  }

  for (const radio of document.querySelectorAll("input[name=measure]")) {
    radio.addEventListener("change", () => {
      for (const part of document.querySelectorAll(".measure")) part.hidden = part.dataset.measure !== radio.value;
    });
  }
  order.addEventListener("change", sort);
  filter.addEventListener("input", sift);

  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) target.classList.toggle("wider", target.scrollWidth > target.clientWidth + 1);
  });
  for (const area of document.querySelectorAll(".scroll")) sized.observe(area);
})();
