(() => {
  const byId = (id) => document.getElementById(id);
  const settings = JSON.parse(byId("settings").textContent);
  let head = JSON.parse(byId("data").textContent);
  let rows = head.rows;
  const NUMBER = 0, STATE = 1, COPY = 2, ENDED = 3, SECONDS = 4, WAIT = 5, MEMORY = 6, GPU = 7, SCORES = 8, VALUES = 9;
  const STATES = ["complete", "pruned", "failed", "unknown"];
  let chosen = null; // place of the chosen trial among the rows
  let metric = null;
  let paused = false;
  let failures = 0;
  let pick = () => 0;

  // What was chosen survives a page that loads itself again.
  const restore = () => {
    const kept = new URLSearchParams(location.hash.slice(1));
    if (kept.has("trial")) {
      const place = rows.findIndex((row) => row[NUMBER] === Number(kept.get("trial")));
      chosen = place < 0 ? null : place;
    }
    if (kept.has("score")) metric = kept.get("score");
    if (kept.has("marked")) byId("marked").value = kept.get("marked");
    if (kept.get("paused") === "yes") setPaused(true);
  };
  const keep = () => {
    const kept = new URLSearchParams();
    if (chosen !== null) kept.set("trial", rows[chosen][NUMBER]);
    if (metric !== null) kept.set("score", metric);
    kept.set("marked", byId("marked").value);
    if (paused) kept.set("paused", "yes");
    try { history.replaceState(null, "", `#${kept}`); } catch { location.replace(`#${kept}`); } // the latter of files
  };

  const duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 99.5) return `${seconds < 10 ? Number(seconds.toPrecision(2)) : Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  };
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
  const say = (id, text) => { const one = byId(id); if (one.textContent !== text) one.textContent = text; };
  const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

  const fillTable = (id, columns, lines) => {
    const table = byId(id);
    table.closest(".scroll").hidden = !lines.length;
    const make = (tag, content, style) => {
      const cell = document.createElement(tag);
      if (content instanceof Node) cell.append(content); else cell.textContent = content;
      if (style) cell.className = style;
      if (tag === "th") cell.scope = "col";
      return cell;
    };
    const line = (cells, tag) => {
      const row = document.createElement("tr");
      row.append(...cells.map((cell, index) => make(tag, cell, columns[index][1])));
      return row;
    };
    table.tHead.replaceChildren(line(columns.map(([name]) => name), "th"));
    table.tBodies[0].replaceChildren(...lines.map((cells) => line(cells, "td")));
  };

  const scoreOf = (row) => { const value = row[SCORES][head.metrics.indexOf(metric)]; return value === undefined ? null : value; };
  const isScored = (row) => row[STATE] === 0 && !row[COPY] && scoreOf(row) !== null;
  const ranking = () => rows.map((row, place) => ({ row, place })).filter(({ row }) => isScored(row))
    .sort((a, b) => scoreOf(b.row) - scoreOf(a.row) || a.row[NUMBER] - b.row[NUMBER]);
  const settingsOf = (row) => head.parameters.map((one, index) => [one.name, row[VALUES][index]])
    .filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => `${name} ${shown(value)}`).join(", ");

  const showProgress = () => {
    const counts = head.counts;
    const ended = rows.length;
    const total = Math.max((head.progress ? head.progress.total : head.budget) || 0, ended);
    const bar = byId("bar");
    bar.setAttribute("aria-valuemax", total);
    bar.setAttribute("aria-valuenow", ended);
    bar.setAttribute("aria-valuetext", `${ended} of ${total} trials have ended`);
    for (const state of ["complete", "pruned", "failed"]) bar.querySelector(`.${state}`).style.width = `${(100 * (counts[state] || 0)) / Math.max(1, total)}%`;
    const live = head.progress;
    const queued = head.queued ? [["queued by the user", shown(head.queued)]] : [];
    const numbers = [["ended", `${ended.toLocaleString("en")} of ${total.toLocaleString("en")}`], ["complete", shown(counts.complete)], ["pruned", shown(counts.pruned)], ["failed", shown(counts.failed)], ...queued];
    if (live) {
      numbers.push(["running", shown(live.running)], ["workers", shown(live.workers)]);
      if (live.rate_per_minute) numbers.push(["a minute", shown(Number(live.rate_per_minute.toPrecision(3)))]);
      numbers.push(["so far", duration(live.elapsed_s)]);
      if (live.left_s !== null && ended < total) numbers.push(["about left", duration(live.left_s)]);
    }
    if (head.stage && head.stage.done !== null && head.stage.total) numbers.push([head.stage.title, `${head.stage.done} of ${head.stage.total}`]);
    const lines = numbers.map(([name, value]) => {
      const group = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name; text.textContent = value;
      group.append(term, text);
      return group;
    });
    byId("numbers").replaceChildren(...lines);
  };

  const showHistory = () => {
    const points = [], failed = [];
    let best = -Infinity;
    rows.forEach((row, place) => {
      if (row[STATE] === 2) failed.push(place);
      if (!isScored(row)) return;
      best = Math.max(best, scoreOf(row));
      points.push({ x: place, y: scoreOf(row), best, confirmed: metric === "score" ? head.confirmed[row[NUMBER]] : undefined });
    });
    pick = drawHistory(byId("history"), points, failed, Math.max(1, rows.length), chosen);
    const confirmed = Object.keys(head.confirmed).length;
    say("history-note", points.length
      ? `${metric} of ${plural(points.length, "complete trial")}: dots; line: the best so far, ${shown(best)}, which is optimistic, as the same clips chose it.`
        + (points.length > 50 ? " The worst tenth lies on the lower edge." : "")
        + (failed.length ? ` Crosses: ${plural(failed.length, "failed trial")}.` : "")
        + (confirmed ? ` Diamonds: mean and standard deviation of ${plural(confirmed, "confirmed trial")} over fresh seeds.` : "")
      : "No complete trial yet.");
    const canvas = byId("history");
    canvas.setAttribute("aria-valuemax", Math.max(0, rows.length - 1));
    canvas.setAttribute("aria-valuenow", chosen === null ? 0 : chosen);
    const text = chosen === null ? "Choose a trial: click on it, or focus the figure and use the arrow keys (Home, End, b for the best)." : describe(rows[chosen]);
    canvas.setAttribute("aria-valuetext", text);
    say("selected", text);
  };
  const describe = (row) => {
    const parts = [`Trial ${row[NUMBER]}: ${STATES[row[STATE]]}${row[COPY] ? ", a copy of another trial" : ""}`];
    if (row[STATE] === 0) parts.push(head.metrics.map((name, index) => [name, row[SCORES][index]]).filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => `${name} ${shown(value)}`).join(", "));
    const confirmed = head.confirmed[row[NUMBER]];
    if (confirmed) parts.push(`confirmed ${shown(confirmed.mean)} ± ${shown(confirmed.sd)} (${plural(confirmed.seeds, "seed")})`);
    const took = [["trained", duration(row[SECONDS])], ["waited", duration(row[WAIT])], ["memory", row[MEMORY] === null ? "" : `${shown(Math.round(row[MEMORY]))} MiB`], ["GPU memory", row[GPU] === null ? "" : `${shown(Math.round(row[GPU]))} MiB`]];
    parts.push(took.filter(([, value]) => value).map(([name, value]) => `${name} ${value}`).join(", "), `ended ${clock(row[ENDED])}`, settingsOf(row));
    return parts.filter(Boolean).join(" · ");
  };

  const showBest = (ranked) => {
    const columns = [["trial", "number"], [metric || "score", "number"], ["confirmed", "number"], ["seconds", "number"], ["values", "long"]];
    const inTable = document.activeElement && document.activeElement.closest("#best") ? document.activeElement.textContent : null;
    fillTable("best", columns, ranked.slice(0, 10).map(({ row, place }) => {
      const confirmed = head.confirmed[row[NUMBER]];
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = String(row[NUMBER]);
      button.setAttribute("aria-label", `Choose trial ${row[NUMBER]}`);
      button.addEventListener("click", () => choose(place));
      return [button, scoreOf(row).toFixed(3), confirmed ? `${confirmed.mean.toFixed(3)} ± ${confirmed.sd.toFixed(3)}` : "", row[SECONDS] === null ? "" : row[SECONDS].toFixed(1), settingsOf(row)];
    }));
    const again = inTable === null ? undefined : [...byId("best").querySelectorAll("button")].find((one) => one.textContent === inTable);
    if (again) again.focus(); // a table that is filled again keeps the keyboard's place
  };

  const axisOf = (parameter, index) => {
    const values = rows.map((row) => row[VALUES][index]).filter((value) => value !== null && value !== undefined);
    const numeric = !(parameter.choices && parameter.choices.length) && values.every((value) => typeof value === "number");
    const base = { name: parameter.name, short: parameter.name.split(".").slice(-2).join(".") };
    if (numeric) {
      let low = parameter.low === undefined ? Math.min(...reduced(values)) : parameter.low;
      let high = parameter.high === undefined ? Math.max(...reduced(values)) : parameter.high;
      if (!(high > low)) { low -= 0.5; high += 0.5; }
      const scale = parameter.log ? Math.log10 : (value) => value;
      const place = (value) => (typeof value === "number" ? Math.min(1, Math.max(0, (scale(value) - scale(low)) / (scale(high) - scale(low)))) : null);
      const inner = parameter.log ? ticks(scale(low), scale(high), 3).filter(Number.isInteger).map((one) => 10 ** one) : ticks(low, high, 4);
      return { ...base, place, labels: inner.map((value) => [place(value), shown(value)]) };
    }
    const isNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text));
    const names = [...new Set([...(parameter.choices || []), ...values.map(String)])];
    if (names.some(isNumber)) names.sort((a, b) => (isNumber(a) && isNumber(b) ? a - b : isNumber(b) - isNumber(a)));
    // a pool of encoders, and what else is a list, goes by its length
    if (parameter.name === "pool" || names.length > 12) {
      const size = (text) => text.split("+").length;
      const most = Math.max(...reduced(names.map(size)), 2);
      const place = (value) => (value === null || value === undefined ? null : (size(String(value)) - 1) / (most - 1));
      return { ...base, name: `${base.name} (how many)`, place, labels: ticks(1, most, 5).filter(Number.isInteger).map((n) => [(n - 1) / (most - 1), String(n)]) };
    }
    const spread = (i) => (names.length > 1 ? i / (names.length - 1) : 0.5);
    const place = (value) => (value === null || value === undefined ? null : spread(names.indexOf(String(value))));
    return { ...base, place, labels: names.map((name, i) => [spread(i), name]) };
  };
  // the extremes of many numbers: a call cannot take 100,000 arguments
  const reduced = (values) => (values.length ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [0, 1]);

  const showParallel = (ranked) => {
    const canvas = byId("parallel");
    if (!head.parameters.length || !ranked.length) {
      canvas.hidden = true;
      say("parallel-note", head.parameters.length ? "No complete trial yet." : "The study searches no parameters.");
      return;
    }
    canvas.hidden = false;
    const given = Number(byId("marked").value);
    const most = given < 1 ? Math.ceil(given * ranked.length) : given;
    const high = scoreOf(ranked[0].row);
    const low = scoreOf(ranked[Math.min(ranked.length - 1, Math.ceil(0.95 * ranked.length))].row); // the worst lie on the end
    const span = high - low || 1;
    const place = (value) => (value === null ? null : Math.max(0, (value - low) / span));
    const axes = [...head.parameters.map(axisOf), { name: metric, short: metric, place, labels: ticks(low, high, 4).map((value) => [place(value), shown(value)]) }];
    const lines = ranked.map((one, rank) => ({ values: [...one.row[VALUES], scoreOf(one.row)], marked: rank < most, chosen: one.place === chosen }));
    drawParallel(canvas, axes, lines.reverse());
    const text = `${plural(ranked.length, "complete trial")}; a line is a trial, ${most ? `blue the best ${most} by ${metric}, ` : ""}orange the chosen one. A line is broken at a parameter that did not count in the trial.`
      + (ranked.length > MOST_LINES ? " Grey: the darker, the more trials." : "");
    const narrowed = head.parameters.filter((one) => one.narrowed).map((one) => `${one.name}: ${one.narrowed}`);
    say("parallel-note", text + (narrowed.length ? ` Narrowed since the study began: ${narrowed.join("; ")}.` : ""));
    canvas.setAttribute("aria-label", `Parallel coordinates of ${head.parameters.map((one) => one.name).join(", ")} and ${metric}. The table of best trials has the same values.`);
  };

  const showImportance = () => {
    const found = head.importance;
    const shares = found ? Object.entries(found.shares) : [];
    fillTable("importance", [["parameter", "text"], ["share", "number"], ["", "share"]], shares.map(([name, share]) => {
      const bar = document.createElement("div");
      bar.style.width = `${100 * share}%`;
      return [name, share.toFixed(2), bar];
    }));
    say("importance-note", found ? `PED-ANOVA of ${plural(found.trials, "trial")}: ${found.question} A hint while there are few trials.` : "Not known before ten different trials are complete.");
  };

  const MOST_WORKERS = 30;
  const showWorkers = () => {
    const shownWorkers = [...head.workers].sort((a, b) => b.last - a.last).slice(0, MOST_WORKERS).sort((a, b) => (a.name < b.name ? -1 : 1));
    const left = head.workers.length - shownWorkers.length;
    fillTable("workers", [["worker", "long"], ["trials", "number"], ["failed", "number"], ["seconds of training", "number"], ["last result", "text"]],
      shownWorkers.map((one) => [one.name, shown(one.trials), shown(one.failed), one.seconds.toFixed(1), clock(one.last)]));
    const epochs = head.stage && head.stage.epochs.length ? ` In training: ${plural(head.stage.epochs.length, "trial")}, at epochs ${head.stage.epochs[0]} to ${head.stage.epochs[head.stage.epochs.length - 1]}.` : "";
    const alive = head.progress ? `${plural(head.progress.workers, "worker")} at work.` : head.workers.length ? "None is at work now." : "No worker has brought a result yet.";
    say("workers-note", alive + epochs + (left ? ` ${plural(left, "worker")} with older results left out.` : ""));
  };

  const showFailures = () => {
    fillTable("failures", [["trials", "number"], ["reason", "long"], ["the last of them", "text"]], head.failures.map((one) => [shown(one.count), one.reason, one.trials.join(", ")]));
    const more = head.reasons - head.failures.length;
    say("failures-note", head.counts.failed ? (more > 0 ? `${more} further reasons are left out.` : "") : "No trial has failed.");
  };

  const showHead = () => {
    document.title = `${head.name}: ${rows.length} trials - rfe watch`;
    say("name", head.name);
    say("state", head.state);
    byId("state").dataset.state = head.state;
    const where = head.stage && head.stage.host ? ` · ${head.stage.title}, process ${head.stage.pid} on ${head.stage.host}` : "";
    const tags = head.tags.length ? ` · ${head.tags.join(", ")}` : "";
    say("about", `${head.data ? `data ${head.data}` : ""}${head.simulated ? " (simulated)" : ""}${where}${tags}`);
    say("note", head.note);
    byId("note").hidden = !head.note;
    byId("caveats").hidden = !head.caveats.length;
    byId("caveats").firstElementChild.replaceChildren(...head.caveats.map((text) => { const one = document.createElement("li"); one.textContent = text; return one; }));
    const outcome = head.outcome && head.outcome.scores ? Object.entries(head.outcome.scores).map(([name, value]) => `${name} ${shown(value)}`).join(", ") : "";
    const refreshed = `as of ${clock(head.now)}`;
    const next = settings.every_s && head.state === "running" ? `, every ${settings.every_s} s` : "";
    say("updated", failures > 1 ? `no answer from rfe watch: this is ${refreshed}` : `${refreshed}${paused ? ", paused" : next}${outcome ? ` · ${outcome}` : ""}`);
    byId("state").classList.toggle("lost", failures > 1);
  };

  const showMetrics = () => {
    const select = byId("metric");
    if (metric === null || (head.metrics.length && !head.metrics.includes(metric))) metric = head.metrics.includes(head.objective[0]) ? head.objective[0] : head.metrics[0] || null;
    if ([...select.options].map((one) => one.value).join() !== head.metrics.join()) {
      select.replaceChildren(...head.metrics.map((name) => { const one = document.createElement("option"); one.value = one.textContent = name; return one; }));
    }
    if (metric !== null) select.value = metric;
    select.disabled = head.metrics.length < 2;
  };

  const show = () => {
    const began = performance.now();
    showMetrics();
    showHead();
    showProgress();
    const ranked = ranking();
    showHistory();
    showBest(ranked);
    showParallel(ranked);
    showImportance();
    showWorkers();
    showFailures();
    document.documentElement.dataset.drawn = String(rows.length);
    document.documentElement.dataset.tookMs = (performance.now() - began).toFixed(1);
  };

  const choose = (place) => {
    chosen = Math.min(rows.length - 1, Math.max(0, place));
    keep();
    showHistory();
    showParallel(ranking());
  };
  const canvas = byId("history");
  canvas.addEventListener("pointerdown", (event) => { if (rows.length) choose(pick(event.clientX - canvas.getBoundingClientRect().left)); });
  canvas.addEventListener("keydown", (event) => {
    if (!rows.length) return;
    const page = Math.max(1, Math.round(rows.length / 20));
    const from = chosen === null ? -1 : chosen;
    const steps = { ArrowRight: from + 1, ArrowUp: from + 1, ArrowLeft: from - 1, ArrowDown: from - 1, PageUp: from + page, PageDown: from - page, Home: 0, End: rows.length - 1 };
    let place = steps[event.key];
    if (event.key === "b") { const [best] = ranking(); place = best ? best.place : undefined; }
    if (place === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(place);
  });
  byId("metric").addEventListener("change", () => { metric = byId("metric").value; keep(); show(); });
  byId("marked").addEventListener("change", () => { keep(); showParallel(ranking()); });
  const setPaused = (value) => {
    paused = value;
    byId("pause").setAttribute("aria-pressed", String(paused));
    byId("pause").textContent = paused ? "Go on" : "Pause";
  };
  byId("pause").addEventListener("click", () => { setPaused(!paused); keep(); showHead(); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; show(); } });

  const refresh = async () => {
    if (paused || document.hidden) return;
    if (!settings.served) { location.reload(); return; }
    try {
      const answer = await fetch(`data?start=${rows.length}&changes=${head.changes}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(await answer.text());
      const next = await answer.json();
      const number = chosen === null ? null : rows[chosen][NUMBER];
      const before = rows.length, confirmed = Object.keys(head.confirmed).length;
      rows = next.start ? rows.slice(0, next.start).concat(next.rows) : next.rows;
      head = next;
      failures = 0;
      if (number !== null && (!rows[chosen] || rows[chosen][NUMBER] !== number)) chosen = null;
      const news = next.rows.length || next.start !== before || Object.keys(next.confirmed).length !== confirmed;
      if (news) show(); else { showHead(); showProgress(); showWorkers(); }
    } catch (error) {
      failures += 1;
      showHead();
    }
  };
  byId("pause").hidden = !settings.every_s;
  restore();
  show();
  if (settings.every_s) setInterval(refresh, 1000 * settings.every_s);
})();
