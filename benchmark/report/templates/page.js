"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const hover = JSON.parse(document.getElementById("hover").textContent);
  const { pool, rows, scores: scoreNames, root } = data.records;
  const $ = (id) => document.getElementById(id);
  const order = new Intl.Collator("en", { numeric: true });

  // Everything that comes from a record is set as text, never as markup.
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child != null));
    return node;
  }
  const number = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(6)));

  // ---- Records -------------------------------------------------------------------------------------------------
  const ID = 0, SPEC = 1, BITS = 2, SEED = 3, STATE = 4, MAIN = 5, SCORES = 6, PROTOCOL = 7, ENVIRONMENT = 8;
  const COMMAND = 9, VIEWS = 10, FLAGS = 11, AGAIN = 12, OWN = 13, FAILURE = 14, STALE = 15;
  const spec = (row) => pool[row[SPEC]];
  const pooled = (row, place) => (row[place] == null ? null : pool[row[place]]);
  const own = (row) => Array.from({ length: row[OWN].length / 2 }, (_, at) => {
    const value = row[OWN][2 * at + 1];
    return [pool[row[OWN][2 * at]], Array.isArray(value) ? pool[value[0]] : value];
  });
  const TRAIN = pool.indexOf("train s");
  const trained = (row) => {  // sorting asks every row, so nothing is built for it
    const at = row[OWN].findIndex((name, place) => place % 2 === 0 && name === TRAIN);
    return at < 0 ? undefined : row[OWN][at + 1];
  };
  const place = new Map(rows.map((row, at) => [row[ID], at]));
  function labels(row) {
    const { labels: share, label_noise: noise, class_split: split } = spec(row);
    return share + (noise ? `, noise ${number(noise)}` : "") + (split == null ? "" : `, classes ${split}`);
  }
  function remarks(row) {
    const found = pooled(row, FLAGS).slice();
    if (row[FAILURE]) found.unshift(`${row[FAILURE].kind}: ${row[FAILURE].message}`);
    if (row[STALE]) found.push("older source");
    return found.join("; ");
  }
  const name = (row) => `${spec(row).method}, ${spec(row).dataset}, ${row[BITS]} bits, seed ${row[SEED]}`;

  // ---- Sorting -------------------------------------------------------------------------------------------------
  // Numbers before words, gaps last whichever way.
  function compare(one, other, sign) {
    const gaps = [one, other].map((value) => value == null || value === "" || value === "–");
    if (gaps[0] || gaps[1]) return gaps[0] - gaps[1];
    if (typeof one === "number" && typeof other === "number") return sign * (one - other);
    if (typeof one === "number" || typeof other === "number") return typeof one === "number" ? -1 : 1;
    return sign * order.compare(one, other);
  }
  // Head cells become buttons: first click downwards for numbers, upwards for words, third click as it was.
  function sortable(heads, first, apply) {
    heads.forEach((head, column) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const start = first(column), now = head.getAttribute("aria-sort");
        const other = start === "ascending" ? "descending" : "ascending";
        const next = now === start ? other : now === other ? null : start;
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        apply(next ? column : null, next === "descending" ? -1 : 1);
      });
    });
  }

  // ---- Tables of the report --------------------------------------------------------------------------------------
  function enhance(table, tools) {
    const body = table.tBodies[0], lines = [...body.rows];
    const value = (line, column) => {
      const cell = line.cells[column];
      return cell.dataset.v ? +cell.dataset.v : cell.firstChild ? cell.firstChild.textContent : "";
    };
    const heads = [...table.tHead.rows[0].cells];
    const numeric = heads.map((_, column) => lines.some((line) => line.cells[column].dataset.v));
    heads.forEach((head, column) => head.classList.toggle("r", lines.some((l) => l.cells[column].classList.contains("num"))));
    sortable(heads, (column) => (numeric[column] ? "descending" : "ascending"), (column, sign) => {
      const sorted = lines.slice();
      if (column != null) sorted.sort((a, b) => compare(value(a, column), value(b, column), sign));
      body.append(...sorted);
    });
    if (!tools) return;
    tools.hidden = false;
    const [shown, box] = [tools.querySelector(".shown"), tools.querySelector("input")];
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const line of lines) {
        const names = [...line.querySelectorAll("[title]")].map((node) => node.title);
        const text = [line.textContent, ...names].join(" ").toLowerCase();
        line.hidden = !words.every((word) => text.includes(word));
        count += !line.hidden;
      }
      shown.textContent = words.length ? `${count} of ${lines.length} rows` : "";
    });
  }
  for (const table of document.querySelectorAll("table[data-sheet]")) {
    enhance(table, table.closest(".sheet").querySelector(".tools"));
    table.addEventListener("click", (event) => {
      const box = event.target.closest("td, th");
      const button = box && box.querySelector("button.cell");
      if (button) openCell(button, table);
    });
  }

  // A table made here: columns are {head, text(row), value(row), node(row), num}.
  function build(columns, list) {
    const head = make("tr", {}, ...columns.map((c) => make("th", { scope: "col", class: c.num ? "r" : false }, c.head)));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...list.map((row) => line(columns, row))));
  }
  function line(columns, row) {
    return make("tr", {}, ...columns.map((column, at) => {
      const value = column.value(row), content = column.node ? column.node(row) : document.createTextNode(column.text(row));
      return make(at ? "td" : "th", {
        scope: at ? false : "row", class: [column.num ? "num" : "", column.look ? column.look(row) : ""].join(" ").trim() || false,
        "data-v": typeof value === "number" ? value : false,
      }, content);
    }));
  }
  function boxed(table, label) {
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
  }

  for (const box of document.querySelectorAll("[data-behind]")) {
    box.addEventListener("toggle", () => {
      if (!box.open || box.querySelector("table")) return;
      const { head, keys, rows: values } = data.behind[box.dataset.behind];
      const parsed = (text) => (/^[+-]?[\d,]*\.?\d+(e[+-]?\d+)?( ± .*)?$/.test(text) ? parseFloat(text.replace(/,/g, "")) : text);
      const columns = head.map((title, at) => ({
        head: title, num: at >= keys, text: (row) => row[at], value: (row) => parsed(row[at]),
      }));
      const table = build(columns, values);
      box.append(boxed(table, "Values behind this figure"));
      enhance(table, null);
    });
  }

  // ---- The dialog --------------------------------------------------------------------------------------------------
  const dialog = $("detail"), detail = $("detail-body");
  function open(title, ...content) {
    $("detail-title").textContent = title;
    detail.replaceChildren(...content.filter(Boolean));
    if (!dialog.open) dialog.showModal();
    detail.scrollTop = 0;
    $("detail-title").focus();
  }
  $("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    if (location.hash.startsWith("#fit=")) history.replaceState(null, "", "#records");
  });

  function facts(pairs) {
    const list = make("dl", { class: "facts" });
    for (const [key, value] of pairs) {
      if (value == null || value === "" || value === false) continue;
      const text = typeof value === "number" ? number(value) : typeof value === "object" ? flat(value) : String(value);
      list.append(make("dt", {}, key), make("dd", {}, text));
    }
    return list;
  }
  function flat(value) {
    if (value === null) return "none";
    if (Array.isArray(value)) return value.map(flat).join(", ");
    if (typeof value === "object") return Object.entries(value).map(([key, one]) => `${key} ${flat(one)}`).join(", ");
    return typeof value === "number" ? number(value) : String(value);
  }
  function command(text) {
    const code = make("pre", { class: "command", tabindex: "0" }, make("code", {}, text));
    return copyable(code);
  }
  function copyable(code) {
    const button = make("button", { type: "button", class: "plain copy" }, "Copy");
    button.addEventListener("click", () => copy(button, code.textContent, code));
    const box = make("div", { class: "copybox" });
    if (code.parentNode) code.replaceWith(box);
    box.append(code, button);
    return box;
  }
  document.querySelectorAll("pre.command").forEach(copyable);
  // Into the clipboard; where that is closed to a page from a file, by what is selected; else it stays selected.
  const usual = new WeakMap();
  async function copy(button, text, shown) {
    const box = shown ?? make("textarea", { class: "sr", readonly: true }, text);
    if (shown) getSelection().selectAllChildren(box);
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      if (!shown) {
        button.after(box);
        box.select();
      }
      done = document.execCommand("copy");
      if (!shown) {
        box.remove();
        button.focus();
        if (!done) open("Select and copy", make("pre", { tabindex: "0" }, text));
      }
    }
    const said = done ? "Copied" : "Selected";
    if (!usual.has(button)) usual.set(button, button.textContent);
    button.textContent = said;
    $("said").textContent = done ? `${button.getAttribute("aria-label") ?? "Command"}: copied` : "";
    setTimeout(() => { button.textContent = usual.get(button); }, 1500);
  }
  document.querySelectorAll("[data-copy]").forEach((button) => {
    const [sheet, kind] = button.dataset.copy.split(" ").map(Number);
    button.addEventListener("click", () => copy(button, data.copies[sheet][kind]));
  });

  function scoresOf(row) {
    const list = [];
    for (let at = 0; at < row[SCORES].length; at += 2) list.push([...scoreNames[row[SCORES][at]], row[SCORES][at + 1]]);
    return list;
  }
  function record(at, open_ = true) {
    const row = rows[at], about = spec(row), protocol = pooled(row, PROTOCOL), where = pooled(row, ENVIRONMENT);
    const main = row[MAIN] == null ? row[STATE] : `mAP ${row[MAIN].toFixed(4)}`;
    const body = make("div");
    const box = make("details", { class: "fit", open: open_ },
      make("summary", {}, `seed ${row[SEED]} · `, make("span", { class: "id" }, row[ID]), ` · ${main}`), body);
    const fill = () => { if (!body.firstChild) body.append(...parts(row, about, protocol, where)); };
    if (open_) fill(); else box.addEventListener("toggle", fill, { once: true });
    return box;
  }
  function parts(row, about, protocol, where) {
    const found = [], titled = (title, node) => found.push(make("h4", {}, title), node);
    const failure = row[FAILURE];
    if (failure) {
      found.push(make("div", { class: "alarm" }, make("strong", {}, `${failure.kind}: `), failure.message,
        failure.traceback ? make("pre", { tabindex: "0" }, failure.traceback) : null));
    }
    for (const flag of pooled(row, FLAGS)) found.push(make("p", { class: "alarm" }, flag));
    if (row[STALE]) found.push(make("p", { class: "alarm old" }, "The method's source has changed since this was measured."));
    const list = scoresOf(row);
    if (list.length) {
      const text = (place) => ({ text: (one) => String(one[place] ?? "all"), value: (one) => one[place] ?? "all" });
      const table = build([{ head: "view", ...text(0) }, { head: "metric", ...text(1) }, { head: "k", num: true, ...text(2) },
        { head: "value", num: true, text: (one) => one[3].toFixed(4), value: (one) => one[3] }], list);
      enhance(table, null);
      titled(`Scores (${list.length})`, boxed(table, "Scores"));
    }
    if (protocol) {
      const { text, rules_text, rules, definition, ...others } = protocol;
      titled("Protocol", facts([["protocol", text], ["rules", rules_text],
        ...Object.entries(others).map(([key, value]) => [key.replaceAll("_", " "), Array.isArray(value) ? value.join("; ") : value]),
        ["rules, each", rules], ["definition", definition]]
        .filter(([, value]) => !(value && typeof value === "object" && !Object.keys(value).length))));
    }
    const views = pooled(row, VIEWS);
    if (views.length) titled("Views", facts(views.map((view) => [view.view, view.text || flat(view)])));
    titled("Command that makes this fit again", command(row[AGAIN]));
    titled("Every flag spelled out, and a check", command(
      `python -m benchmark show ${row[ID]} --results ${quoted(root)}\npython -m benchmark verify ${row[ID]} --results ${quoted(root)}`));
    if (pooled(row, COMMAND)) titled("Command as it was given", command(pooled(row, COMMAND)));
    const { params, ...rest } = about;
    titled("Fit", facts([["id", row[ID]], ["state", row[STATE]], ["bits", row[BITS]], ["seed", String(row[SEED])],
      ...Object.entries(rest).map(([key, value]) => [key.replaceAll("_", " "), value])]));
    if (Object.keys(params).length) titled("Parameters", facts(Object.entries(params)));
    if (where) titled("Environment", facts(Object.entries(where).map(([key, value]) => [key.replaceAll("_", " "), value === false ? "no" : value])));
    titled("Measured", facts(own(row)));
    return found;
  }
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

  function openRecord(at) {
    history.replaceState(null, "", `#fit=${rows[at][ID]}`);
    open(name(rows[at]), record(at));
  }
  function openCell(button, table) {
    const [sheet, line_, column] = button.dataset.c.split(" ").map(Number);
    const [values, fits, planned, failed, stale, p, flags, note] = data.sheets[sheet][line_][column];
    const box = button.closest("tr"), head = table.tHead.rows[0].cells[column].textContent;
    const keys = [...box.querySelectorAll("th")].map((cell) => cell.textContent);
    const title = table.closest(".sheet").querySelector("h3").textContent;
    const mean = values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
    const spread = values.length > 1 ? Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1)) : null;
    const known = fits.filter((fit) => typeof fit === "number");
    const protocol = known.map((at) => pooled(rows[at], PROTOCOL)).find(Boolean);
    const one = known.length ? spec(rows[known[0]]) : null;
    open(`${keys.join(" · ")}: ${head}`,
      facts([["table", title], ["shown", button.textContent], ["mean", mean], ["standard deviation", spread],
        ["values", values.map((value) => number(value)).join(", ")],
        ["fits", planned ? `${values.length} of ${planned} planned${failed ? `, ${failed} failed` : ""}` : String(fits.length)],
        ["measured by older source", stale || ""], ["p of the lead", p == null ? "" : p.toPrecision(3)], ["remark", note],
        ["flags", flags.join("; ")], ["protocol", protocol && protocol.text], ["rules", protocol && protocol.rules_text],
        ["selection", one && `${one.selection}${protocol ? `: ${protocol.selection_text}` : ""}`]]),
      make("h3", {}, fits.length === 1 ? "Record" : `Records (${fits.length})`),
      ...fits.map((fit) => (typeof fit === "number" ? record(fit, fits.length === 1)
        : make("p", { class: "note" }, `fit ${fit} is not in this folder`))));
  }
  function follow() {
    const at = location.hash.startsWith("#fit=") ? place.get(location.hash.slice(5)) : undefined;
    if (at !== undefined) openRecord(at);
  }
  addEventListener("hashchange", follow);

  // ---- The table of records: one page of rows at a time ------------------------------------------------------------
  const PAGE = 50;
  const columns = [
    { head: "data set", value: (row) => spec(row).dataset },
    { head: "method", value: (row) => spec(row).method, look: (row) => `chip ${data.colours[spec(row).method] ?? ""}` },
    { head: "bits", num: true, value: (row) => row[BITS] },
    { head: "labels", value: labels },
    { head: "seed", num: true, value: (row) => row[SEED] },
    { head: "mAP", num: true, value: (row) => row[MAIN], text: (row) => (row[MAIN] == null ? "–" : row[MAIN].toFixed(4)) },
    { head: "state", value: (row) => row[STATE], look: (row) => (row[STATE] === "failed" ? "failed" : "") },
    { head: "protocol", value: (row) => spec(row).protocol },
    { head: "backbone", value: (row) => spec(row).backbone },
    { head: "selection", value: (row) => spec(row).selection },
    { head: "train s", num: true, value: trained, text: (row) => (trained(row) ?? 0).toFixed(1) },
    { head: "remarks", value: remarks, look: (row) => (remarks(row) ? "remark" : "") },
    { head: "fit", value: (row) => row[ID], node: (row) => make("button", { type: "button", class: "cell id", "data-fit": row[ID] }, row[ID]) },
  ].map((column) => ({ text: (row) => String(column.value(row) ?? "–"), ...column }));
  columns.unshift(columns.pop());  // the id first: it names the row and stays in sight

  function recordsTable() {
    const body = make("tbody"), count = make("span", { "aria-live": "polite" });
    const heads = columns.map((column) => make("th", { scope: "col", class: column.num ? "r" : false }, column.head));
    const table = make("table", { id: "all-records" }, make("thead", {}, make("tr", {}, ...heads)), body);
    let texts = null;  // made when first searched
    const everything = rows.map((_, at) => at);
    const state = { words: [], choices: {}, list: everything, sort: null, sign: 1, page: 0 };
    const go = (label, to) => make("button", { type: "button", class: "plain", onclick: () => { state.page = to(); draw(); } }, label);
    const last = () => Math.max(0, Math.ceil(state.list.length / PAGE) - 1);
    const back = [go("First", () => 0), go("Previous", () => state.page - 1)];
    const forth = [go("Next", () => state.page + 1), go("Last", last)];
    function draw() {
      state.page = Math.min(Math.max(0, state.page), last());
      const from = state.page * PAGE, part = state.list.slice(from, from + PAGE);
      body.replaceChildren(...part.map((at) => line(columns, rows[at])));
      const range = part.length ? `${number(from + 1)} to ${number(from + part.length)} of ` : "";
      const all = state.list.length === rows.length ? "" : ` (${number(rows.length)} in all)`;
      count.textContent = `${range}${number(state.list.length)} records${all}`;
      back.forEach((button) => { button.disabled = state.page === 0; });
      forth.forEach((button) => { button.disabled = state.page === last(); });
    }
    function update() {
      if (state.words.length) texts ??= rows.map((row) => columns.map((column) => column.text(row)).join(" ").toLowerCase());
      const chosen = Object.entries(state.choices).filter(([, value]) => value !== "");
      state.list = everything.filter((at) => state.words.every((word) => texts[at].includes(word))
        && chosen.every(([column, value]) => columns[column].text(rows[at]) === value));
      if (state.sort != null) {
        const values = rows.map((row) => columns[state.sort].value(row));
        state.list.sort((a, b) => compare(values[a], values[b], state.sign) || a - b);
      }
      state.page = 0;
      draw();
    }
    sortable(heads, (column) => (columns[column].head === "mAP" ? "descending" : "ascending"), (column, sign) => {
      Object.assign(state, { sort: column, sign });
      update();
    });
    const search = make("input", { type: "search", placeholder: "Method, id, failure ...", oninput: () => {
      state.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      update();
    } });
    const filters = make("div", { class: "filters" }, make("label", {}, "Search", search));
    columns.forEach((column, at) => {
      if (!["data set", "method", "bits", "labels", "state", "protocol", "selection"].includes(column.head)) return;
      const values = [...new Set(rows.map(column.text))].sort(order.compare);
      if (values.length < 2 || values.length > 500) return;
      const choice = make("select", { onchange: () => { state.choices[at] = choice.value; update(); } },
        make("option", { value: "" }, "all"), ...values.map((value) => make("option", { value }, value)));
      filters.append(make("label", {}, column.head, choice));
    });
    body.addEventListener("click", (event) => {
      const button = event.target.closest("[data-fit]");
      if (button) openRecord(place.get(button.dataset.fit));
    });
    const box = make("article", { class: "sheet" }, filters, boxed(table, "Records"), make("div", { class: "pager" }, count, ...back, ...forth));
    draw();
    return box;
  }
  $("table").append(recordsTable());

  // ---- Values of a figure, under the pointer or by arrow keys -------------------------------------------------------
  const tip = $("tip");
  for (const stage of document.querySelectorAll(".stage")) {
    const points = hover[stage.dataset.figure];
    if (!points) continue;
    const dot = make("span", { class: "dot", hidden: true });
    stage.append(dot);
    let at = -1;
    const hide = () => { tip.hidden = dot.hidden = true; };
    const show = (next) => {
      at = next;
      const [x, y, text] = points[at], box = stage.getBoundingClientRect();
      dot.style.left = `${x * 100}%`;
      dot.style.top = `${y * 100}%`;
      dot.hidden = tip.hidden = false;
      if (tip.textContent !== text) tip.textContent = text;
      const left = box.left + x * box.width, top_ = box.top + y * box.height;
      const wide = tip.offsetWidth, high = tip.offsetHeight;
      tip.style.left = `${Math.min(Math.max(6, left - wide / 2), innerWidth - wide - 6)}px`;
      tip.style.top = `${top_ - high - 12 < 0 ? top_ + 14 : top_ - high - 12}px`;
    };
    const near = (event) => {
      const box = stage.getBoundingClientRect();
      let best = -1, least = 28 ** 2;
      points.forEach(([x, y], place_) => {
        const far = (box.left + x * box.width - event.clientX) ** 2 + (box.top + y * box.height - event.clientY) ** 2;
        if (far < least) [best, least] = [place_, far];
      });
      if (best >= 0) show(best); else hide();
    };
    stage.addEventListener("pointermove", near);
    stage.addEventListener("pointerdown", near);
    stage.addEventListener("pointerleave", hide);
    const box = stage.parentNode;
    box.addEventListener("blur", hide);
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      show((at + step + points.length) % points.length);
    });
  }

  // ---- Theme and contents -------------------------------------------------------------------------------------------
  const themes = ["auto", "light", "dark"];
  const theme = $("theme");
  function dress(kind) {
    if (kind === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = kind;
    theme.textContent = `Theme: ${kind}`;
    try { localStorage.setItem("theme", kind); } catch { /* a page from a file may have no storage */ }
  }
  let kept = "auto";
  try { kept = localStorage.getItem("theme"); } catch { /* the same */ }
  dress(themes.includes(kept) ? kept : "auto");
  theme.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "auto";
    dress(themes[(themes.indexOf(now) + 1) % themes.length]);
  });
  const contents = $("contents"), menu = $("menu");
  const unfold = (open_) => { contents.classList.toggle("open", open_); menu.setAttribute("aria-expanded", String(open_)); };
  menu.addEventListener("click", () => unfold(!contents.classList.contains("open")));
  contents.addEventListener("click", (event) => { if (event.target.closest("a")) unfold(false); });
  addEventListener("keydown", (event) => { if (event.key === "Escape") unfold(false); });
  const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.getAttribute("href").slice(1), link]));
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    entries.forEach((entry) => (entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id)));
    const first = [...links.keys()].find((id) => seen.has(id));
    links.forEach((link, id) => (id === first ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  }, { rootMargin: "-80px 0px -55% 0px" });
  links.forEach((_, id) => { if ($(id)) watcher.observe($(id)); });
  follow();
  document.documentElement.dataset.ready = "true";
})();
