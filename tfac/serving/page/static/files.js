// Photos from a file input or a drop, those of folders included.

// Each photo is {file, name}; a name has the folders that it was found in. Of a folder those are taken
// that end in one of the suffixes.

export function inputPhotos(input, suffixes) {
  const photos = [...input.files].map((file) => ({
    file,
    name: file.webkitRelativePath || file.name,
  }));
  return input.webkitdirectory ? photos.filter(({ name }) => isPicture(name, suffixes)) : photos;
}

export async function droppedPhotos(transfer, suffixes) {
  // Both must be taken before the first wait: the browser empties the list then.
  const dropped = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const photos = [];
  for (const { entry, file } of dropped) {
    if (entry?.isDirectory) photos.push(...(await photosBelow(entry, suffixes)));
    else if (file) photos.push({ file, name: file.name });
  }
  return photos;
}

async function photosBelow(folder, suffixes) {
  const photos = [];
  for (const entry of await entriesOf(folder)) {
    if (entry.isDirectory) {
      photos.push(...(await photosBelow(entry, suffixes)));
    } else {
      const name = entry.fullPath.replace(/^\//, "");
      if (isPicture(name, suffixes)) photos.push({ file: await fileOf(entry), name });
    }
  }
  return photos;
}

async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (some.length === 0) break; // it hands out a hundred at a time
    entries.push(...some);
  }
  return entries.sort((one, other) => one.name.localeCompare(other.name));
}

function fileOf(entry) {
  return new Promise((done, failed) => entry.file(done, failed));
}

// What else lies in a folder is passed over, as tfac-predict does.
function isPicture(name, suffixes) {
  const base = name.slice(name.lastIndexOf("/") + 1).toLowerCase();
  return !base.startsWith(".") && suffixes.some((suffix) => base.endsWith(suffix));
}
