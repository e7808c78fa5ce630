// A photo with what was found on it, as SVG in pixels of the photo.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A face of the photo, for its button.
export function thumbnail(photo, rectangle) {
  const frame = viewBox(rectangle, 0).join(" ");
  return element("svg", { viewBox: frame, "aria-hidden": "true" }, picture(photo));
}

// Args: photo {url, width, height, displayable}; answers, one a model; view {face, boxes,
// landmarks, zoom, mask: null or {model, level, group}}; choose(face) is called on a click.
export function draw(svg, photo, answers, view, choose) {
  const faces = answers[0].faces;
  const whole = { left: 0, top: 0, right: photo.width, bottom: photo.height };
  const zoomed = view.zoom && faces.length > 0;
  const frame = zoomed ? viewBox(faces[view.face].rectangle, 0.45) : viewBox(whole, 0);
  svg.setAttribute("viewBox", frame.join(" "));
  const drawn = [picture(photo, view.mask ? "masked" : "")];
  if (view.mask) {
    const explained = answers[view.mask.model].faces;
    const seen = zoomed ? [explained[view.face]] : explained; // crops of neighbours overlap
    drawn.push(...masks(seen, view.mask));
  }
  if (view.landmarks) answers.forEach((one, i) => drawn.push(...dots(one.faces, "ab"[i])));
  if (view.boxes) drawn.push(...boxes(faces, view.face, frame, choose));
  svg.replaceChildren(...drawn);
}

function viewBox({ left, top, right, bottom }, margin) {
  const [width, height] = [right - left, bottom - top];
  return [
    left - margin * width, top - margin * height,
    width * (1 + 2 * margin), height * (1 + 2 * margin),
  ];
}

function picture({ url, width, height, displayable }, kind = "") {
  if (!displayable) return element("rect", { width, height, class: "no-picture" });
  return element("image", { href: url, width, height, class: kind, preserveAspectRatio: "none" });
}

function masks(faces, { level, group }) {
  return faces.flatMap(({ crop: { width, height, to_photo }, masks }) => {
    const place = { width, height, transform: `matrix(${to_photo.join(" ")})` };
    const mask = { ...place, href: masks[level][group], preserveAspectRatio: "none" };
    return [element("image", mask), element("rect", { ...place, class: "crop" })];
  });
}

function dots(faces, model) {
  return faces.flatMap(({ landmarks, rectangle }) => {
    const r = (rectangle.right - rectangle.left) * (model === "a" ? 0.014 : 0.01);
    const kind = { r, "stroke-width": 0.25 * r, class: `dot ${model}` };
    return (landmarks ?? []).map(([cx, cy]) => element("circle", { cx, cy, ...kind }));
  });
}

function boxes(faces, chosen, [, , width, height], choose) {
  const largest = Math.max(width, height) / 22;
  return faces.map(({ rectangle: { left, top, right, bottom } }, i) => {
    const kind = i === chosen ? " chosen" : "";
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    const group = element(
      "g",
      {},
      element("rect", { ...place, class: "box-edge" }),
      element("rect", { ...place, class: `box${kind}` }),
    );
    if (faces.length > 1) {
      const size = Math.min(largest, 0.4 * (right - left)); // a small face stays to be seen
      const tag = { x: left, y: top, width: size, height: size, class: `tag${kind}` };
      const words = { x: left + size / 2, y: top + size * 0.78, class: "tag-words" };
      group.append(
        element("rect", tag),
        element("text", { ...words, "font-size": size * 0.8 }, String(i + 1)),
      );
    }
    group.addEventListener("click", () => choose(i));
    return group;
  });
}
