"use strict";
(() => {
  // Tables: a click on a head sorts by it, ascending first; empty cells stay last.
  const valueOf = (row, index) => {
    const text = row.cells[index].dataset.value;
    if (text === "") return null;
    const number = Number(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };
  for (const table of document.querySelectorAll("table")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      head.querySelector("button").addEventListener("click", () => {
        const way = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        const sign = way === "ascending" ? 1 : -1;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way);
        const rows = [...table.tBodies[0].rows];
        rows.sort((one, two) => {
          const [a, b] = [valueOf(one, index), valueOf(two, index)];
          if (a === null || b === null) return (a === null) - (b === null);
          return sign * compare(a, b);
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  // Figures: drawn one after the other in the colours of the page, and again when those change.
  const read = (id) => document.getElementById(id).textContent;
  const light = read("plots");
  const dark = Object.entries(JSON.parse(read("dark")));
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const coarse = window.matchMedia("(pointer: coarse)").matches;
  const divs = [...document.querySelectorAll(".plot")];
  let turn = 0;
  const draw = async () => {
    const mine = ++turn;
    let text = light;
    if (scheme.matches) text = text.replace(/#[0-9a-f]{6}(?=["0-9a-f])/g, (colour) => new Map(dark).get(colour) || colour);
    const plots = JSON.parse(text);
    for (const div of divs) {
      if (mine !== turn) return;
      const { data, layout } = plots[Number(div.dataset.plot)];
      layout.dragmode = coarse ? false : "zoom"; // on a phone a finger scrolls the page
      layout.hoverlabel = { namelength: -1 };
      if (div.clientWidth < 480) {
        layout.font.size = 11;
        layout.margin = { ...layout.margin, l: 4, r: Math.min(layout.margin.r, 36) };
        layout.xaxis.title.text = layout.xaxis.title.text.replace(/(.{16,}?) /g, "$1<br>");
        for (const trace of data) if (trace.colorbar) trace.showscale = false;
      }
      await Plotly.react(div, data, layout, { responsive: true, displaylogo: false, displayModeBar: coarse ? false : "hover" });
      div.dataset.drawn = "yes";
      await new Promise((next) => setTimeout(next, 0));
    }
    document.documentElement.dataset.drawn = scheme.matches ? "dark" : "light";
  };
  if (typeof Plotly === "undefined") {
    document.documentElement.classList.add("no-plots");
  } else {
    scheme.addEventListener("change", draw);
    draw();
  }
})();
