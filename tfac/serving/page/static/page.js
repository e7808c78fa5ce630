// The page: which models are asked about which photos, and which answer is looked at.

import { ask, fetchModels, keyOf, makeThumbnail } from "./asking.js";
import { fillTable, plain } from "./attributes.js";
import { choice } from "./choices.js";
import { save, toCsv, toJson } from "./downloads.js";
import { draw, thumbnail } from "./drawing.js";
import { droppedPhotos, inputPhotos } from "./files.js";

const AT_ONCE = 2; // photos on their way to the server
const SAY_EVERY = 5000; // milliseconds, of how many photos are done

const $ = (id) => document.getElementById(id);

let models = []; // as /page/models has them
let mostBytes = 0;
let suffixes = []; // of photos
let photos = []; // {file, name, url, number, asked, answer, error, thumbnail, displayable}
let shown = null; // the photo that is looked at
let picked = false; // somebody chose it, or a face of it
let face = 0; // of it
let working = null; // AbortController of the photos that are being asked for
let lastSaid = 0; // when
let numPhotos = 0; // so far, for the elements' ids

// Asking

async function loadModels() {
  try {
    ({ models, most_bytes: mostBytes, suffixes } = await fetchModels());
    $("files").accept = ["image/*", ...suffixes].join();
  } catch {
    return complain("", "the server does not answer: is tfac-serve still running?");
  }
  for (const one of models) {
    const words = `${one.model}, version ${one.version}`;
    $("model-a").add(new Option(words, keyOf(one)));
    $("model-b").add(new Option(words, keyOf(one)));
  }
  describeModels();
  if (models.length === 0) complain("", "the server has no model that is ready; reload the page later");
}

function chosenKeys() {
  return ["model-a", "model-b"].map((id) => $(id).value).filter(Boolean);
}

function describeModels() {
  const chosen = chosenKeys().map((key) => models.find((one) => keyOf(one) === key));
  const words = [...new Set(chosen.map((one) => one.data).filter(Boolean))].map((data) => {
    const names = chosen.filter((one) => one.data === data).map((one) => one.model);
    const drawn = data === "synthetic_faces" ? ": drawings, so nothing of real faces is known" : "";
    return `${[...new Set(names)].join(" and ")}: trained on ${data}${drawn}.`;
  });
  $("model-facts").textContent = words.join(" ");
}

function described(answer) {
  return models.find((one) => keyOf(one) === keyOf(answer));
}

function add(found) {
  for (const { file, name } of found) {
    numPhotos += 1;
    const photo = { file, name, url: URL.createObjectURL(file), number: numPhotos };
    Object.assign(photo, { asked: false, answer: null, error: "", thumbnail: null });
    photos.push(photo);
    $("photos").append(photoChoice(photo));
  }
  showWhatIsThere();
  if (found.length === 0) say("No pictures there.");
  else askWaiting();
}

function askAgain() {
  describeModels();
  picked = shown !== null; // which stays
  working?.abort();
  working = null;
  for (const photo of photos) {
    Object.assign(photo, { answer: null, error: "", asked: false });
    showState(photo);
  }
  $("problems").replaceChildren();
  $("problems").hidden = true;
  if (photos.length > 0) askWaiting();
}

async function askWaiting() {
  if (working !== null) return showProgress(); // the workers will come to them
  const control = new AbortController();
  working = control;
  say(`Looking at ${counted(photos.filter((one) => !one.asked).length, "photo")}.`);
  await Promise.all(Array.from({ length: AT_ONCE }, () => work(control.signal)));
  if (working !== control) return; // asked again meanwhile
  working = null;
  showProgress();
  say(summary());
}

async function work(signal) {
  for (;;) {
    const photo = photos.find((one) => !one.asked);
    if (!photo || signal.aborted) return;
    photo.asked = true;
    showProgress(photo);
    await look(photo, signal);
  }
}

async function look(photo, signal) {
  try {
    const aligned = $("aligned").checked;
    const answer = await ask(photo, { keys: chosenKeys(), aligned, mostBytes, signal });
    if (photo.thumbnail === null) await makeThumbnail(photo);
    if (signal.aborted) return;
    photo.answer = answer;
    if (numFaces(photo) === 0) {
      complain(photo.name, "no face found; faces less than about 40 pixels wide are missed");
    }
  } catch (error) {
    if (signal.aborted) return;
    photo.error = error.message;
    complain(photo.name, error.message);
  }
  showState(photo);
  const wanted = picked ? shown : firstToShow(photo);
  if (wanted === photo || wanted !== shown) show(wanted);
}

// The first photo that this browser can show, else the first with an answer.
function firstToShow(otherwise) {
  const answered = photos.filter((one) => one.answer);
  return answered.find((one) => one.displayable) ?? answered[0] ?? otherwise;
}

// Telling

// Screen readers read this out; the progress bar they do not.
function say(text) {
  $("status").textContent = text;
  lastSaid = Date.now();
}

function complain(name, text) {
  const line = document.createElement("p");
  if (name) {
    const strong = document.createElement("strong");
    strong.textContent = name;
    line.append(strong, ": ");
  }
  line.append(text);
  $("problems").append(line);
  $("problems").hidden = false;
}

function showProgress(photo) {
  const done = photos.filter((one) => one.answer || one.error).length;
  $("progress-row").hidden = working === null;
  $("progress").max = Math.max(1, photos.length);
  $("progress").value = done;
  const words = `${done} of ${counted(photos.length, "photo")} done`;
  $("progress-words").textContent = photo ? `${words}: ${photo.name}` : words;
  if (working !== null && Date.now() - lastSaid > SAY_EVERY) say(`${words}.`);
  for (const id of ["json", "csv"]) $(id).disabled = done === 0;
}

function summary() {
  const answered = photos.filter((photo) => photo.answer);
  const faces = answered.reduce((sum, photo) => sum + numFaces(photo), 0);
  const without = answered.filter((photo) => numFaces(photo) === 0).length;
  const failed = photos.filter((photo) => photo.error).length;
  const parts = [`${counted(answered.length, "photo")} answered, ${counted(faces, "face")} found`];
  if (without) parts.push(`${counted(without, "photo")} without a face`);
  if (failed) parts.push(`${counted(failed, "photo")} not answered`);
  return `${parts.join("; ")}.`;
}

function counted(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

// The photos and the one that is shown

function photoChoice(photo) {
  const id = `photo-${photo.number}`;
  const base = photo.name.slice(photo.name.lastIndexOf("/") + 1);
  const made = choice("photo", id, false, null, base, stateOf(photo), () => {
    picked = true;
    show(photo);
  });
  made.title = photo.name;
  return made;
}

function showState(photo) {
  const input = $(`photo-${photo.number}`);
  const label = input.nextElementSibling;
  const state = label.querySelector(".state");
  state.textContent = stateOf(photo);
  state.classList.toggle("bad", photo.error !== "" || numFaces(photo) === 0);
  if (photo.thumbnail && !label.contains(photo.thumbnail)) label.prepend(photo.thumbnail);
}

function showWhatIsThere() {
  $("skip").hidden = $("answers").hidden = photos.length === 0;
  $("photos-box").hidden = photos.length < 2;
  $("drop").classList.toggle("small", photos.length > 0);
}

function stateOf(photo) {
  if (photo.error) return "not answered";
  if (!photo.answer) return "waiting";
  return numFaces(photo) ? counted(numFaces(photo), "face") : "no face";
}

// Undefined where there is no answer yet.
function numFaces(photo) {
  return photo.answer?.models[0].faces.length;
}

function show(photo) {
  if (photo !== shown) face = 0;
  shown = photo;
  $(`photo-${photo.number}`).checked = true;
  $("photo").hidden = false;
  $("photo-name").textContent = photo.name;
  const { answer } = photo;
  $("photo-facts").textContent = facts(photo);
  $("photo-body").hidden = !answer;
  if (!answer) return;
  document.querySelector(".face-side").hidden = numFaces(photo) === 0;
  $("faces").replaceChildren(...faceChoices(photo));
  $("faces-box").hidden = numFaces(photo) < 2;
  $("filter").querySelector("[value=differ]").disabled = answer.models.length < 2;
  if (answer.models.length < 2 && $("filter").value === "differ") $("filter").value = "all";
  offerMasks(answer.models);
  render();
}

function facts(photo) {
  const { answer, error } = photo;
  if (error) return error;
  if (!answer) return "not looked at yet";
  return `${answer.width} × ${answer.height} pixels, ${stateOf(photo)}`;
}

function faceChoices(photo) {
  const source = { ...photo, width: photo.answer.width, height: photo.answer.height };
  return photo.answer.models[0].faces.map(({ rectangle }, i) => {
    const size = `${rectangle.right - rectangle.left} pixels wide`;
    const picture = thumbnail(source, rectangle);
    return choice("face", `face-${i + 1}`, i === face, picture, `Face ${i + 1}`, size, () =>
      chooseFace(i),
    );
  });
}

function chooseFace(i) {
  [face, picked] = [i, true];
  const input = $(`face-${i + 1}`);
  input.checked = true;
  // The list of a group scrolls; `scrollIntoView` would move the page too.
  const [list, { offsetTop: top, offsetHeight: height }] = [$("faces"), input.parentElement];
  const below = top + height - list.clientHeight;
  list.scrollTop = Math.min(top, Math.max(list.scrollTop, below));
  render();
}

// Masks

function offerMasks(answers) {
  const explaining = answers.filter((one) => one.faces.some((found) => found.masks));
  $("masks").hidden = explaining.length === 0;
  if (explaining.length === 0) return;
  const names = explaining.map((one) => [keyOf(one), `${one.model} ${one.version}`]);
  offer("mask-model", names);
  $("mask-model-field").hidden = explaining.length < 2;
  offerMaskParts();
}

function offerMaskParts() {
  const { mask_groups: groups, mask_levels: levels } = models.find(
    (one) => keyOf(one) === $("mask-model").value,
  );
  offer("mask-group", [["", "none"], ...groups.map((group) => [group, plain(group)])]);
  // Block 3, level P3, has a cell for every 8 pixels of the model's picture, and so on.
  offer("mask-level", levels.map((level) => [level, `${level}, ${2 ** level.slice(1)} px`]));
}

// Keeps what was chosen before, where it is offered again.
function offer(id, choices) {
  const before = $(id).value;
  $(id).replaceChildren(...choices.map(([value, words]) => new Option(words, value)));
  if (choices.some(([value]) => value === before)) $(id).value = before;
}

function chosenMask(answers) {
  if ($("masks").hidden || !$("mask-group").value) return null;
  const model = answers.findIndex((one) => keyOf(one) === $("mask-model").value);
  return { model, level: $("mask-level").value, group: $("mask-group").value };
}

function render() {
  if (!shown?.answer) return;
  const { answer } = shown;
  const mask = chosenMask(answer.models);
  const [boxes, landmarks, zoom] = ["boxes", "landmarks", "zoom"].map((id) => $(id).checked);
  const picture = { ...shown, width: answer.width, height: answer.height };
  draw($("picture"), picture, answer.models, { face, boxes, landmarks, zoom, mask }, chooseFace);
  $("picture").setAttribute("aria-label", pictureLabel(mask));
  $("picture-caption").textContent = caption();
  $("mask-legend").hidden = mask === null;
  if (numFaces(shown) === 0) return;
  const parts = described(answer.models[0])?.part_groups ?? {};
  fillTable($("attributes"), answer.models, face, parts, $("order").value, $("filter").value);
}

function pictureLabel(mask) {
  const count = numFaces(shown);
  const what = count ? `, ${counted(count, "face")} marked, face ${face + 1} chosen` : ", no face found";
  const where = mask ? `, with the mask of ${plain(mask.group)}` : "";
  return `${shown.name}${what}${where}`;
}

function caption() {
  const { models: answers } = shown.answer;
  const words = answers.flatMap(({ model, faces }) => {
    if (faces.length === 0) return [];
    const by = { model: `${faces[0].landmarks?.length} by ${model}`, dlib: "68 by dlib" };
    return faces[0].landmarks_by ? [by[faces[0].landmarks_by]] : [];
  });
  const parts = words.length ? [`Landmarks: ${[...new Set(words)].join(", ")}.`] : [];
  if (!shown.displayable) parts.push("This browser cannot show the photo's format.");
  return parts.join(" ");
}

// Events

function listen() {
  for (const id of ["files", "folder"]) {
    $(id).addEventListener("change", () => {
      add(inputPhotos($(id), suffixes));
      $(id).value = ""; // the same file may be chosen again
    });
  }
  for (const id of ["model-a", "model-b", "aligned"]) $(id).addEventListener("change", askAgain);
  for (const id of ["boxes", "landmarks", "zoom", "mask-group", "mask-level", "order", "filter"]) {
    $(id).addEventListener("change", render);
  }
  $("mask-model").addEventListener("change", () => {
    offerMaskParts();
    render();
  });
  $("stop").addEventListener("click", stop);
  $("clear").addEventListener("click", clear);
  $("json").addEventListener("click", () => save(toJson(photos), "faces.json", "application/json"));
  $("csv").addEventListener("click", () => save(toCsv(photos), "faces.csv", "text/csv"));
  listenToDrops();
}

function listenToDrops() {
  let depth = 0; // of elements entered and not left
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (change) => {
    depth = change === 0 ? 0 : depth + change;
    $("drop").classList.toggle("over", depth > 0);
  };
  addEventListener("dragenter", (event) => carriesFiles(event) && mark(1));
  addEventListener("dragleave", (event) => carriesFiles(event) && mark(-1));
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    mark(0);
    try {
      add(await droppedPhotos(event.dataTransfer, suffixes));
    } catch (error) {
      complain("", `what was dropped cannot be read: ${error.message}`);
    }
  });
}

function stop() {
  remove(photos.filter((photo) => !photo.answer && !photo.error));
  say(`Stopped; the photos that were waiting are removed. ${summary()}`);
}

function clear() {
  remove(photos);
  $("problems").replaceChildren();
  $("problems").hidden = true;
  say("All photos are removed.");
}

function remove(some) {
  working?.abort();
  working = null;
  for (const photo of some) {
    URL.revokeObjectURL(photo.url);
    $(`photo-${photo.number}`).parentElement.remove();
  }
  photos = photos.filter((photo) => !some.includes(photo));
  if (some.includes(shown)) {
    [shown, picked] = [null, false];
    $("photo").hidden = true;
  }
  if (shown === null && photos.length > 0) show(firstToShow(photos[0]));
  showWhatIsThere();
  showProgress();
  $("files").focus(); // what was focussed is gone
}

function sayWhereTo() {
  const host = location.hostname.replace(/^\[|\]$/g, "");
  const here = host === "localhost" || host === "::1" || host.startsWith("127.");
  $("privacy").textContent = here
    ? "Your photos never leave this computer. They go to the tfac-serve that runs on it, are kept " +
      "in memory while they are looked at, and are not stored."
    : `Your photos go to the tfac-serve on ${host}, which gave you this page, and nowhere else. ` +
      "They are kept in memory while they are looked at, and are not stored.";
}

sayWhereTo();
listen();
loadModels();
