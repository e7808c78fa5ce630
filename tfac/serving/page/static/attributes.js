// What models say about one face, as a table of bars.

// Args: answers, one a model; face, its number from 0; parts {part: attributes}; order "shown" or
// "parts"; filter "all", "shown" or "differ".
export function fillTable(table, answers, face, parts, order, filter) {
  const rows = rowsOf(answers, face).filter((row) => passes(row, filter));
  table.className = answers.length > 1 ? "attributes two" : "attributes";
  table.replaceChildren(caption(face, rows.length), head(answers), ...bodies(rows, order, parts));
}

export function plain(name) {
  return name.replaceAll("_", " ");
}

function rowsOf(answers, face) {
  const names = new Set(answers.flatMap((one) => Object.keys(one.thresholds)));
  const rows = [...names].map((name) => {
    const cells = answers.map((one) => {
      const said = one.faces[face].attributes[name];
      return said ? { ...said, threshold: one.thresholds[name] } : null;
    });
    const known = cells.filter((cell) => cell !== null);
    const highest = Math.max(...known.map((cell) => cell.probability));
    const shown = known.some((cell) => cell.shown);
    return { name, cells, highest, shown, differs: shown && known.some((cell) => !cell.shown) };
  });
  return rows.sort((one, other) => other.shown - one.shown || other.highest - one.highest);
}

function passes(row, filter) {
  if (filter === "shown") return row.shown;
  return filter !== "differ" || row.differs;
}

function bodies(rows, order, parts) {
  if (order === "shown") return [body(rows)];
  const grouped = Object.entries(parts).map(([part, names]) => [
    part,
    rows.filter((row) => names.includes(row.name)),
  ]);
  const known = new Set(Object.values(parts).flat());
  grouped.push(["other", rows.filter((row) => !known.has(row.name))]);
  return grouped
    .filter(([, members]) => members.length > 0)
    .map(([part, members]) => body(members, part));
}

function body(rows, part = "") {
  const made = document.createElement("tbody");
  if (part) {
    const row = made.insertRow();
    row.className = "part";
    const header = cell("th", plain(part), "rowgroup");
    header.colSpan = 1 + (rows[0]?.cells.length ?? 1);
    row.append(header);
  }
  for (const { name, cells, shown, differs } of rows) {
    const row = made.insertRow();
    row.className = `${shown ? "shown" : ""} ${differs ? "differs" : ""}`;
    const header = cell("th", plain(name), "row");
    if (differs) header.append(hidden(", the models differ"));
    row.append(header, ...cells.map((one, i) => answerCell(one, "ab"[i])));
  }
  return made;
}

function answerCell(said, model) {
  const made = document.createElement("td");
  if (said === null) {
    made.append(span("facts", "not an attribute of it"));
    return made;
  }
  const track = span("track");
  track.setAttribute("aria-hidden", "true");
  const fill = span(`fill ${model}${said.shown ? " shown-fill" : ""}`);
  fill.style.width = `${100 * said.probability}%`;
  const mark = span("mark");
  mark.style.left = `${100 * said.threshold}%`;
  track.append(fill, mark);
  const words = `${said.shown ? "shown" : "not shown"}, threshold ${percent(said.threshold)}`;
  track.title = words;
  const tick = span("tick", said.shown ? "✓" : "");
  tick.setAttribute("aria-hidden", "true");
  const number = span("number", percent(said.probability));
  number.append(hidden(`, ${words}`));
  const answer = span(`answer${said.shown ? " yes" : ""}`);
  answer.append(track, tick, number);
  made.append(answer);
  return made;
}

function caption(face, rows) {
  const made = document.createElement("caption");
  made.textContent = `Face ${face + 1}: ${rows} attribute${rows === 1 ? "" : "s"}`;
  return made;
}

function head(answers) {
  const made = document.createElement("thead");
  const row = made.insertRow();
  const name = cell("th", "Attribute", "col");
  name.className = "name-column";
  row.append(name);
  answers.forEach(({ model, version }, i) => {
    const header = cell("th", "", "col");
    const swatch = span(`swatch ${"ab"[i]}`);
    swatch.setAttribute("aria-hidden", "true");
    header.append(swatch, `${model}, version ${version}`);
    row.append(header);
  });
  return made;
}

function cell(kind, text, scope) {
  const made = document.createElement(kind);
  made.textContent = text;
  made.scope = scope;
  return made;
}

function span(kind, text = "") {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}

function hidden(text) {
  return span("hidden", text);
}

function percent(value) {
  return `${(100 * value).toFixed(1)} %`;
}
