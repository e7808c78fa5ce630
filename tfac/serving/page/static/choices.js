// One of several to choose from: a radio button with a picture and words. The browser gives a group
// of them one stop of the tab key, and the arrow keys.

export function choice(group, id, checked, picture, name, state, onChange) {
  const made = document.createElement("div");
  made.className = "choice";
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: group, id, checked });
  input.addEventListener("change", onChange);
  const label = document.createElement("label");
  label.htmlFor = id;
  const words = document.createElement("span");
  words.className = "words";
  words.append(part("name", name), part("state", state));
  if (picture) label.append(picture);
  label.append(words);
  made.append(input, label);
  return made;
}

function part(kind, text) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}
