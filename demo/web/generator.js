// An exported generator in LiteRT.js: the file's signature `generate` as a function of z and label.

const SIGNATURE = "generate";

/** A file beside the page; rejects with an Error that says what is missing. */
export async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url} is not there (HTTP ${response.status}). Start the page with: make web`);
  }
  return response;
}

async function runtime() {
  let litert;
  try {
    litert = await import("@litertjs/core");
  } catch (cause) {
    throw new Error("LiteRT.js is not installed. Run: npm ci --prefix demo/web", { cause });
  }
  // One thread: a small image is drawn sooner than threads have met.
  try {
    await litert.loadLiteRt("./node_modules/@litertjs/core/wasm/");
  } catch (cause) {
    throw new Error(`This browser does not run LiteRT.js (${cause.message ?? cause}).`, { cause });
  }
  return litert;
}

/** Loads model.json and model.tflite from beside the page.
 *
 * Resolves to {info, generate}. info holds name, bytes, latent_dim, num_classes (0: unconditional)
 * and shape [H, W, C]. generate(z, label) takes a Float32Array of latent_dim numbers, and a class
 * index if and only if the generator is conditional, and resolves to the image, a Float32Array of
 * H * W * C numbers in [-1, 1]. Rejects with an Error that says what is missing or wrong.
 */
export async function loadGenerator() {
  const info = await (await fetched("model.json")).json();
  const content = new Uint8Array(await (await fetched("model.tflite")).arrayBuffer());
  const { Tensor, loadAndCompile } = await runtime();
  let model;
  try {
    model = await loadAndCompile(content, { accelerator: "wasm" });
  } catch (cause) {
    const reason = cause.message ?? cause;
    throw new Error(
      `LiteRT.js cannot load ${info.name} (${reason}). Export it again with scripts.compress.`,
      { cause },
    );
  }
  if (!(SIGNATURE in model.signatures)) {
    throw new Error(`${info.name} has no signature "${SIGNATURE}": export it with scripts.compress.`);
  }

  async function generate(z, label) {
    if (z.length !== info.latent_dim) {
      throw new Error(`z has ${z.length} numbers; ${info.name} takes ${info.latent_dim}.`);
    }
    const known = Number.isInteger(label) && label >= 0 && label < info.num_classes;
    if (info.num_classes > 0 && !known) {
      throw new Error(`label is ${label}; ${info.name} takes 0 to ${info.num_classes - 1}.`);
    }
    // Tensors live in the wasm heap, which nothing but delete() frees.
    const inputs = { z: new Tensor(Float32Array.from(z), [1, z.length]) };
    if (info.num_classes > 0) inputs.label = new Tensor(Int32Array.of(label), [1]);
    let outputs = {};
    try {
      outputs = await model.run(SIGNATURE, inputs);
      return await outputs.image.data();
    } finally {
      for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
    }
  }

  return { info, generate };
}

/** An image in [-1, 1], grey or RGB, as the pixels of a canvas: RGBA, 0 to 255. */
export function pixels(image, [height, width, channels]) {
  const rgba = new Uint8ClampedArray(height * width * 4);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      // The array rounds to nearest and clamps by itself.
      rgba[4 * i + c] = (image[i * channels + (channels === 3 ? c : 0)] + 1) * 127.5;
    }
    rgba[4 * i + 3] = 255;
  }
  return rgba;
}
