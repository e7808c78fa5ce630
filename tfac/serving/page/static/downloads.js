// The answers as files.

const COLUMNS = [
  "photo", "error", "face", "left", "top", "right", "bottom", "model", "version",
  "attribute", "shown", "probability", "threshold", "score",
];

// As tfac-predict --format=json writes each photo, for each model; without the masks' pictures.
export function toJson(photos) {
  return JSON.stringify(
    photos.map((photo) =>
      photo.answer ? withoutMasks(photo) : { photo: photo.name, error: reasonOf(photo) },
    ),
    null,
    1,
  );
}

// A row an attribute, of each face by each model; a photo without a face has one row.
export function toCsv(photos) {
  const rows = [COLUMNS, ...photos.flatMap(rowsOf)];
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

export function save(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function withoutMasks({ answer }) {
  return {
    ...answer,
    models: answer.models.map((one) => ({
      ...one,
      faces: one.faces.map(({ masks, crop, ...face }) => face),
    })),
  };
}

function rowsOf(photo) {
  const { name, answer } = photo;
  if (!answer || answer.models[0].faces.length === 0) {
    return [[name, reasonOf(photo), ...COLUMNS.slice(2).map(() => "")]];
  }
  return answer.models.flatMap((one) =>
    one.faces.flatMap((face, i) => {
      const { left, top, right, bottom } = face.rectangle;
      const start = [name, "", i + 1, left, top, right, bottom, one.model, one.version];
      return Object.entries(face.attributes).map(([attribute, { shown, probability, score }]) => [
        ...start, attribute, Number(shown), probability, one.thresholds[attribute], score,
      ]);
    }),
  );
}

function reasonOf({ error, answer }) {
  return error || (answer ? "no face found" : "not looked at");
}

function cell(value) {
  if (typeof value === "number") return String(value);
  // A spreadsheet would run a text that starts like a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
