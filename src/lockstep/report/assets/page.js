"use strict";
(() => {
  const data = JSON.parse(document.getElementById("plot-data").textContent);
  const NAMES = { challenger: "this change", champion: data.champion ? `champion ${data.champion}` : "champion" };

  // -- making elements; text is only ever set as text ---------------------------------------------------------------
  const make = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...[children ?? []].flat().filter((child) => child != null));
    return node;
  };
  const html = (name, attributes, children) => make(document.createElement(name), attributes, children);
  const svg = (name, attributes, children) =>
    make(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  const choice = (label, options, changed) =>
    html("label", {}, [label, html("select", { onchange: (event) => changed(event.target.value) },
      options.map(([value, text]) => html("option", { value }, text)))]);

  const minus = (text) => text.replace("-", "−");
  const places = (range) => Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(range || 1))));
  const fixed = (value, digits) => minus(value.toFixed(digits));
  const many = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  /** Draw when there is room, and again when the room changes: a folded section has none. */
  const whenSized = (box, draw) => {
    let width = 0;
    new ResizeObserver(() => {
      const now = Math.floor(box.clientWidth);
      // Drawn in the next frame: what is drawn here may resize the box that is being told of its size.
      if (now > 0 && now !== width) { width = now; requestAnimationFrame(() => draw(width)); }
    }).observe(box);
  };

  /** A few round numbers between two ends. */
  const ticks = (low, high, wanted) => {
    const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step + 0);
    return found;
  };

  // -- differences with their intervals: to the right is better ---------------------------------------------------------
  const gained = (row) => (row.up ? 1 : -1);
  const signed = (row) => [row.low, row.high, row.value].filter((value) => value != null).map((value) => gained(row) * value);
  const ends = (row) => [row.low, row.high, row.value].filter((value) => value != null).map(Math.abs);

  const track = (row, limit, width) => {
    const height = 26, middle = height / 2, center = width / 2;
    const at = (value) => center + (Math.max(-limit, Math.min(limit, gained(row) * value)) / limit) * (center - 8);
    const kind = row.low == null ? "silent" : row.word === "better" || row.word === "worse" ? row.word : "none";
    const parts = [svg("line", { class: "zero", x1: center, x2: center, y1: 0, y2: height })];
    if (row.low != null) {
      parts.push(svg("line", { class: "mark-line", x1: at(row.low), x2: at(row.high), y1: middle, y2: middle }));
    }
    for (const [end, side] of [[Math.min(...signed(row)), -1], [Math.max(...signed(row)), 1]]) {
      // What reaches beyond the edge ends in an arrow, not in a false end.
      const tip = center + side * (center - 1);
      if (side * end > limit) parts.push(svg("path", { class: "mark-tip", d: `M${tip - side * 6} ${middle - 5}L${tip} ${middle}L${tip - side * 6} ${middle + 5}` }));
    }
    if (row.value != null && Math.abs(row.value) <= limit) {
      parts.push(svg("circle", { class: "mark-dot", cx: at(row.value), cy: middle, r: 5 }));
    }
    return svg("svg", { class: kind, viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": row.text }, parts);
  };

  const said = (row) => [
    html("span", { class: "said" }, row.value == null ? "–" : row.text.replace(/ \(too few.*$/, "")),
    html("span", { class: row.word === "better" || row.word === "worse" ? `word word-${row.word}` : "word muted" }, row.word),
  ];

  /** A row that tells more when it is pointed at or focused. */
  const telling = (name, row, limit, more) => {
    const box = html("span", { class: "track-of" });
    const line = html("div", { class: "row", tabindex: 0 }, [html("span", { class: "name" }, name), box, ...said(row)]);
    const note = html("span", { class: "more" }, more);
    const show = () => line.append(note), hide = () => note.remove();
    line.addEventListener("pointerenter", show);
    line.addEventListener("pointerleave", () => document.activeElement === line || hide());
    line.addEventListener("focus", show);
    line.addEventListener("blur", hide);
    whenSized(box, (width) => box.replaceChildren(track(row, limit, width)));
    return line;
  };

  const heading = (left, right) => html("div", { class: "row head" }, [
    html("span", { class: "name" }, left), html("span", { class: "track-of" }), html("span", { class: "said" }, right), html("span", { class: "word" })]);

  const scaled = (box, limit, flipped) => whenSized(box, (width) => {
    const center = width / 2, digits = places(limit);
    const shown = limit == null ? [] : ticks(-limit, limit, width < 260 ? 2 : 4);
    const texts = limit == null
      ? [svg("text", { x: 0, y: 11 }, "← worse"), svg("text", { x: width, y: 11, "text-anchor": "end" }, "better →")]
      : shown.map((value) => svg("text", { x: center + (value / limit) * (center - 8), y: 11, "text-anchor": "middle" },
        `${(flipped ? -value : value) > 0 ? "+" : ""}${fixed(flipped ? -value : value, digits).replace("−0." + "0".repeat(digits), "0." + "0".repeat(digits))}`));
    box.replaceChildren(svg("svg", { viewBox: `0 0 ${width} 16`, height: 16 }, texts));
  });

  const differences = (place) => {
    if (!data.metrics.length) return false;
    const head = heading("each on its own scale", "difference (95 %)");
    scaled(head.querySelector(".track-of"), null);
    const rows = data.metrics.map((row) => {
      const limit = 1.1 * Math.max(...ends(row), 1e-12);
      const values = ["champion", "challenger"].filter((who) => who in row.values).map((who) => `${NAMES[who]} ${row.values[who]}`);
      return telling(row.primary ? html("b", {}, row.title) : row.title, row, limit, values.join(" → "));
    });
    place.append(html("div", { class: "forest" }, [head, ...rows]));
    return true;
  };

  // -- slices: sorted, filtered ------------------------------------------------------------------------------------------
  const ORDERS = {
    "worst first": (a, b) => (b.word === "worse") - (a.word === "worse") || (a.low == null) - (b.low == null)
      || gained(a) * a.value - gained(b) * b.value,
    "best first": (a, b) => (a.low == null) - (b.low == null) || gained(b) * b.value - gained(a) * a.value,
    "most rows": (a, b) => b.rows - a.rows,
    "by name": (a, b) => a.column.localeCompare(b.column) || a.value_name.localeCompare(b.value_name, "en", { numeric: true }),
    "smallest p": (a, b) => (a.p ?? 2) - (b.p ?? 2),
  };

  const slices = (place) => {
    if (!data.slices.some((row) => row.text)) return false;
    const metrics = Object.entries(data.titles), columns = [...new Set(data.slices.map((row) => row.column))];
    const wish = { metric: metrics[0][0], column: "", order: "worst first", text: "", worse: false };
    const list = html("div", { class: "forest tall" }), counted = html("span", { class: "end", "aria-live": "polite" });
    const redraw = () => {
      const ours = data.slices.filter((row) => row.metric === wish.metric);
      const shown = ours.filter((row) => (!wish.column || row.column === wish.column) && (!wish.worse || row.word === "worse")
        && `${row.column} = ${row.value_name}`.toLowerCase().includes(wish.text)).sort(ORDERS[wish.order]);
      const reach = shown.filter((row) => row.low != null).map((row) => Math.max(...ends(row))).sort((a, b) => a - b);
      // A few tiny slices must not squeeze all others: what reaches further is cut at the edge.
      const usual = reach[Math.floor(0.9 * (reach.length - 1))], most = reach[reach.length - 1];
      const limit = 1.1 * (Math.min(most, 1.5 * usual) || Math.max(1e-9, ...shown.flatMap(ends)));
      const head = heading(`slice, rows`, "difference (95 %)");
      scaled(head.querySelector(".track-of"), limit, ours.length > 0 && !ours[0].up);
      list.replaceChildren(head, ...shown.map((row) => telling(
        [html("bdi", {}, `${row.column} = ${row.value_name}`), html("small", {}, row.rows.toLocaleString("en"))], row, limit,
        `${many(row.rows, "row")} · ${NAMES.champion} ${row.champion} → ${NAMES.challenger} ${row.challenger} · ${row.text}`
          + (row.p == null ? "" : ` · p ${row.p < 0.001 ? "< 0.001" : row.p.toFixed(3)} (Holm)`))));
      counted.textContent = `${shown.length.toLocaleString("en")} of ${many(ours.length, "slice")}; to the right is better`;
    };
    const set = (key) => (value) => { wish[key] = value; redraw(); };
    place.append(html("div", { class: "tools" }, [
      metrics.length > 1 ? choice("metric", metrics, set("metric")) : null,
      columns.length > 1 ? choice("by", [["", "all columns"], ...columns.map((each) => [each, each])], set("column")) : null,
      choice("sort", Object.keys(ORDERS).map((each) => [each, each]), set("order")),
      html("input", { type: "search", placeholder: "filter", "aria-label": "filter slices", size: 12,
        oninput: (event) => set("text")(event.target.value.toLowerCase()) }),
      html("label", {}, [html("input", { type: "checkbox", onchange: (event) => set("worse")(event.target.checked) }), "only worse"]),
      counted,
    ]), list);
    redraw();
    return true;
  };

  // -- curves with a cursor that reads both models -------------------------------------------------------------------------
  const KINDS = {
    calibration: { title: "calibration", x: "predicted", y: "observed", unit: true, diagonal: true, dots: true,
      more: (p) => many(p.n, "row") },
    roc: { title: "ROC", x: "fpr", y: "tpr", xName: "false positive rate", yName: "true positive rate", unit: true,
      diagonal: true, more: (p) => `threshold ${p.threshold.toFixed(3)}` },
    precision_recall: { title: "precision–recall", x: "recall", y: "precision", unit: true,
      more: (p) => `threshold ${p.threshold.toFixed(3)}` },
    predicted: { title: "predicted against observed", x: "predicted", y: "observed", diagonal: true, dots: true,
      more: (p) => many(p.n, "row") },
  };

  const domain = (kind, lines) => {
    const points = Object.values(lines).flat();
    const xs = points.map((p) => p[kind.x]), ys = points.map((p) => p[kind.y]);
    const round = (low, high) => {
      const step = ticks(low, high, 5), gap = step.length > 1 ? step[1] - step[0] : 1;
      return [Math.floor(low / gap + 1e-9) * gap, Math.ceil(high / gap - 1e-9) * gap];
    };
    if (!kind.unit) {
      const [low, high] = round(Math.min(...xs, ...ys), Math.max(...xs, ...ys) || 1);
      return { x: [low, high], y: [low, high] };
    }
    const most = (values) => (kind.dots || kind.x === "recall") && Math.max(...values) < 0.75 ? round(0, Math.max(...values))[1] : 1;
    const x = kind.x === "recall" ? 1 : most(kind.diagonal && kind.dots ? [...xs, ...ys] : xs);
    return { x: [0, x], y: [0, kind.dots ? x : most(ys)] };
  };

  const drawCurve = (box, read, kind, lines, width) => {
    const edge = { left: 46, right: 12, top: 10, bottom: 38 };
    const wide = Math.min(width, 736), height = Math.round(Math.max(240, Math.min(440, wide * 0.68)));
    const range = domain(kind, lines), digits = (ends) => places(ends[1] - ends[0]);
    const X = (v) => edge.left + ((v - range.x[0]) / (range.x[1] - range.x[0])) * (wide - edge.left - edge.right);
    const Y = (v) => height - edge.bottom - ((v - range.y[0]) / (range.y[1] - range.y[0])) * (height - edge.top - edge.bottom);
    const parts = [];
    for (const v of ticks(...range.x, wide < 420 ? 4 : 6)) {
      parts.push(svg("line", { class: "grid", x1: X(v), x2: X(v), y1: Y(range.y[0]), y2: Y(range.y[1]) }),
        svg("text", { x: X(v), y: height - edge.bottom + 16, "text-anchor": "middle" }, fixed(v, digits(range.x))));
    }
    for (const v of ticks(...range.y, 5)) {
      parts.push(svg("line", { class: "grid", x1: X(range.x[0]), x2: X(range.x[1]), y1: Y(v), y2: Y(v) }),
        svg("text", { x: edge.left - 8, y: Y(v) + 4, "text-anchor": "end" }, fixed(v, digits(range.y))));
    }
    parts.push(svg("text", { x: X(range.x[1]), y: height - 4, "text-anchor": "end" }, `${kind.xName || kind.x} →`),
      svg("text", { x: edge.left + 6, y: edge.top + 10 }, `↑ ${kind.yName || kind.y}`));
    if (kind.diagonal) {
      const low = Math.max(range.x[0], range.y[0]), high = Math.min(range.x[1], range.y[1]);
      parts.push(svg("line", { class: "zero", x1: X(low), y1: Y(low), x2: X(high), y2: Y(high) }));
    }
    const cursor = svg("line", { class: "cursor", y1: Y(range.y[0]), y2: Y(range.y[1]), visibility: "hidden" });
    const dots = {};
    for (const who of ["champion", "challenger"].filter((each) => lines[each])) {
      const points = lines[who].map((p) => `${X(p[kind.x]).toFixed(1)},${Y(p[kind.y]).toFixed(1)}`);
      parts.push(svg("polyline", { class: `line ${who}`, points: points.join(" ") }));
      if (kind.dots) parts.push(...lines[who].map((p) => svg("circle", { class: who, cx: X(p[kind.x]), cy: Y(p[kind.y]), r: 3.5 })));
      dots[who] = svg("circle", { class: who, r: 5.5, visibility: "hidden" });
    }
    const plot = svg("svg", { viewBox: `0 0 ${wide} ${height}`, height, tabindex: 0, role: "img", "aria-label": `${kind.title}: use the arrow keys to read it` },
      [...parts, cursor, ...Object.values(dots)]);

    const nearest = (points, x) => points.reduce((best, p) => (Math.abs(p[kind.x] - x) < Math.abs(best[kind.x] - x) ? p : best));
    let here = (range.x[0] + range.x[1]) / 2;
    const show = (x) => {
      here = Math.max(range.x[0], Math.min(range.x[1], x));
      cursor.setAttribute("x1", X(here)); cursor.setAttribute("x2", X(here)); cursor.setAttribute("visibility", "visible");
      const texts = ["challenger", "champion"].filter((who) => dots[who]).map((who) => {
        const p = nearest(lines[who], here);
        dots[who].setAttribute("cx", X(p[kind.x])); dots[who].setAttribute("cy", Y(p[kind.y])); dots[who].setAttribute("visibility", "visible");
        const d = Math.max(3, digits(range.y));
        return html("div", {}, [html("b", {}, NAMES[who]),
          ` ${kind.xName || kind.x} ${fixed(p[kind.x], d)}, ${kind.yName || kind.y} ${fixed(p[kind.y], d)}, ${kind.more(p)}`]);
      });
      read.replaceChildren(...texts);
    };
    const pointed = (event) => {
      const box = plot.getBoundingClientRect();
      const x = (event.clientX - box.left) * (wide / box.width);
      show(range.x[0] + ((x - edge.left) / (wide - edge.left - edge.right)) * (range.x[1] - range.x[0]));
    };
    plot.addEventListener("pointermove", pointed);
    plot.addEventListener("pointerdown", pointed);
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { event.preventDefault(); show(here + (step * (range.x[1] - range.x[0])) / 50); }
    });
    box.replaceChildren(plot);
  };

  const curves = (place) => {
    const found = Object.entries(data.curves).map(([id, lines]) =>
      [id, Object.fromEntries(Object.entries(lines).filter(([, points]) => points.length > 1))])
      .filter(([, lines]) => Object.keys(lines).length);
    if (!found.length) return false;
    let chosen = 0;
    const box = html("div", { class: "curves" }), read = html("div", { class: "read", "aria-live": "polite" });
    const buttons = found.map(([id], index) => html("button", { type: "button", role: "tab", "aria-selected": index === 0,
      onclick: () => { chosen = index; redraw(); } }, KINDS[id].title));
    const who = [...new Set(found.flatMap(([, lines]) => Object.keys(lines)))].sort().reverse();
    const legend = who.map((each) => html("span", { class: "legend" }, [
      svg("svg", { viewBox: "0 0 28 8", height: 8 }, svg("line", { class: `line ${each}`, x1: 0, x2: 28, y1: 4, y2: 4 })), NAMES[each]]));
    const redraw = () => {
      buttons.forEach((button, index) => button.setAttribute("aria-selected", index === chosen));
      read.textContent = "Point at the curve to read it.";
      if (box.clientWidth) drawCurve(box, read, KINDS[found[chosen][0]], found[chosen][1], box.clientWidth);
    };
    place.append(html("div", { class: "tools" }, [html("span", { class: "tabs", role: "tablist" }, buttons), ...legend]), box, read);
    whenSized(box, redraw);
    return true;
  };

  // -- drift -------------------------------------------------------------------------------------------------------------------
  const drift = (place) => {
    if (!data.drift.length) return false;
    const wish = { order: "furthest", only: false };
    const list = html("div", { class: "forest tall" });
    const orders = { furthest: (a, b) => b.distance - a.distance, "by name": (a, b) => a.column.localeCompare(b.column) };
    const redraw = () => {
      const shown = data.drift.filter((row) => !wish.only || row.drifted).sort(orders[wish.order]);
      list.replaceChildren(...shown.map((row) => {
        const box = html("span", { class: "track-of" });
        whenSized(box, (width) => box.replaceChildren(svg("svg", { viewBox: `0 0 ${width} 14`, height: 14, class: row.drifted ? "drifted" : "" }, [
          svg("rect", { class: "track", x: 0, y: 4, width, height: 6, rx: 3 }),
          svg("rect", { class: "bar", x: 0, y: 4, width: width * row.distance, height: 6, rx: 3 })])));
        return html("div", { class: "row" }, [html("span", { class: "name" }, html("bdi", {}, row.column)), box,
          html("span", { class: "said" }, row.distance.toFixed(3)),
          html("span", { class: row.drifted ? "word word-drifted" : "word" }, row.drifted ? "drifted" : ""),
          html("span", { class: "more" }, `${row.before} → ${row.after}`)]);
      }));
    };
    place.append(html("div", { class: "tools" }, [
      choice("sort", Object.keys(orders).map((each) => [each, each]), (value) => { wish.order = value; redraw(); }),
      html("label", {}, [html("input", { type: "checkbox", onchange: (event) => { wish.only = event.target.checked; redraw(); } }), "only drifted"]),
      html("span", { class: "end" }, "distance from 0, alike, to 1, nothing in common"),
    ]), list);
    redraw();
    return true;
  };

  // -- the page ---------------------------------------------------------------------------------------------------------------
  const PLOTS = { differences, slices, curves, drift };
  for (const place of document.querySelectorAll("[data-plot]")) {
    place.hidden = false;
    if (!PLOTS[place.dataset.plot](place)) place.remove();
  }

  const unfold = () => {
    const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (wanted && wanted.tagName === "DETAILS") wanted.open = true;
  };
  addEventListener("hashchange", unfold);
  document.querySelector("nav").addEventListener("click", () => setTimeout(unfold));
  unfold();

  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
