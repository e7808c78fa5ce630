// Requests to the server, and what a browser knows of a photo without it.

const MOST_TRIES = 30; // where the server is busy

// The models that can be asked, the most bytes of a photo, and how the names of photos end.
export async function fetchModels() {
  const response = await fetch("page/models");
  return response.json();
}

export function keyOf({ model, version }) {
  return `${model}/${version}`;
}

// What the models say about a photo; an error's message is the reason, for people.
// Args: photo {file, name}; asked {keys: of one or two models, aligned, mostBytes, signal}.
export async function ask(photo, { keys, aligned, mostBytes, signal }) {
  if (photo.file.size > mostBytes) {
    throw new Error(`larger than ${mostBytes / 2 ** 20} MB, which is the most`);
  }
  const query = new URLSearchParams({ photo: photo.name, aligned: Number(aligned) });
  for (const key of keys) query.append("model", key);
  const headers = { "Content-Type": "application/octet-stream" };
  for (let tries = 1; ; tries++) {
    const request = { method: "POST", headers, body: photo.file, signal };
    const response = await fetch(`page/faces?${query}`, request).catch((error) => {
      throw signal.aborted ? error : new Error("the file cannot be read, or the server is gone");
    });
    const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
    if (response.ok) return answer;
    if (response.status !== 503 || tries === MOST_TRIES) {
      throw new Error(reason(photo, answer, response.status));
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

function reason(photo, { error }, status) {
  const words = error.startsWith(`${photo.name}: `) ? error.slice(photo.name.length + 2) : error;
  return status === 404 ? `${words}; reload the page for the models that there are now` : words;
}

// Sets the photo's thumbnail, and whether this browser can show it.
export async function makeThumbnail(photo) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [80, 80];
  canvas.setAttribute("aria-hidden", "true");
  photo.thumbnail = canvas;
  try {
    const bitmap = await createImageBitmap(photo.file);
    const side = Math.min(bitmap.width, bitmap.height);
    const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
    canvas.getContext("2d").drawImage(bitmap, left, top, side, side, 0, 0, 80, 80);
    bitmap.close();
    photo.displayable = true;
  } catch {
    photo.displayable = false; // TIFF, for example: the server reads more than browsers show
  }
}
