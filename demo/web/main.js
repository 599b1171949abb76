// The page: a grid of samples that follows the controls.

import { fetched, loadGenerator, pixels } from "./generator.js";
import { moved, normals } from "./random.js";

const COLUMNS = 8;
const COUNT = COLUMNS * COLUMNS;
const FRAME_MS = 12; // drawing lets the browser paint this often
const TIMED = 256; // the median is over this many images, the latest ones

const $ = (id) => document.getElementById(id);
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

function bytes(count) {
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(2)} MB`;
}

function fail(error) {
  console.error(error);
  document.body.className = "failed";
  $("message").hidden = false;
  $("message").textContent = error.message ?? error;
}

function addCells([height, width]) {
  return Array.from({ length: COUNT }, () => {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    $("grid").append(canvas);
    return canvas.getContext("2d");
  });
}

function addSliders(shares) {
  return shares.map((share, k) => {
    const row = document.createElement("label");
    row.textContent = `Direction ${k + 1}`;
    row.title = `${(100 * share).toFixed(0)}% of what samples differ by`;
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: -1, max: 1, step: 0.01, value: 0 });
    const value = document.createElement("output");
    value.textContent = "0.00";
    row.append(value, slider);
    $("sliders").append(row);
    return { slider, value };
  });
}

function addClasses({ num_classes: count, class_names: names }) {
  $("class-row").hidden = count === 0;
  for (let k = 0; k < count; k++) $("class").add(new Option(names[k] ?? `Class ${k}`, k));
}

function showFacts({ name, bytes: size, shape, latent_dim, num_classes }) {
  document.title = `${name} · Tapestry`;
  $("file").textContent = name;
  $("file").title = name;
  $("size").textContent = bytes(size);
  $("shape").textContent = shape.slice(0, 2).join(" × ") + (shape[2] === 3 ? " RGB" : " grey");
  $("latent").textContent = `${latent_dim} dimensions`;
  $("classes").textContent = num_classes || "none";
  const wasm = performance.getEntriesByType("resource").filter(({ name }) => /\.wasm$/.test(name));
  const sent = wasm.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  $("runtime").textContent += `, ${bytes(sent)}`;
}

function start({ info, generate }) {
  const cells = addCells(info.shape);
  let sliders = []; // one for each of `ways`, once they are known
  let ways = [];
  const times = [];
  let latents; // of all samples, one after the other
  let stale = 0; // samples yet to draw
  let next = 0; // the sample drawn next
  let drawing = Promise.resolve();
  addClasses(info);
  showFacts(info);

  async function drawOne(index) {
    // At a slider's end the step is as long as a typical z: 45 degrees off.
    const amounts = sliders.map(({ slider }) => slider.value * Math.sqrt(info.latent_dim));
    const z = latents.subarray(index * info.latent_dim, (index + 1) * info.latent_dim);
    const chosen = $("class").value;
    const label = chosen === "all" ? index % info.num_classes : Number(chosen);
    const there = moved(z, ways, amounts);
    const before = performance.now();
    const image = await generate(there, info.num_classes ? label : undefined);
    times.push(performance.now() - before);
    const [height, width] = info.shape;
    cells[index].putImageData(new ImageData(pixels(image, info.shape), width, height), 0, 0);
  }

  function showSpeed() {
    times.splice(0, times.length - TIMED);
    $("speed").textContent = median(times).toFixed(2);
  }

  async function drawStale() {
    let painted = performance.now();
    while (stale > 0) {
      stale -= 1;
      await drawOne(next);
      next = (next + 1) % COUNT;
      if (performance.now() - painted > FRAME_MS) {
        showSpeed();
        await new Promise((resolve) => setTimeout(resolve));
        painted = performance.now();
      }
    }
    showSpeed();
  }

  // A change while drawing goes on is seen by the samples still to come, then by the others.
  function draw() {
    for (const { slider, value } of sliders) value.textContent = Number(slider.value).toFixed(2);
    const busy = stale > 0;
    stale = COUNT;
    if (!busy) drawing = drawing.then(drawStale).catch(fail);
  }

  function reseed() {
    latents = normals(Number($("seed").value), COUNT * info.latent_dim);
    draw();
  }

  async function explore() {
    const { vectors, shares } = await (await fetched("directions.json")).json();
    ways = vectors;
    sliders = addSliders(shares);
    $("looking").hidden = true;
    $("reset").hidden = false;
  }

  $("seed").addEventListener("input", reseed);
  $("shuffle").addEventListener("click", () => {
    $("seed").value = Math.floor(Math.random() * 1e6);
    reseed();
  });
  $("reset").addEventListener("click", () => {
    for (const { slider } of sliders) slider.value = 0;
    draw();
  });
  $("class").addEventListener("change", draw);
  $("sliders").addEventListener("input", draw);
  document.body.className = "";
  $("message").hidden = true;
  reseed();
  const explored = explore().catch((error) => ($("looking").textContent = error.message));
  return { drawn: () => drawing, explored };
}

// For scripts and tests: await tapestry.ready, then tapestry.generate(z, label); tapestry.drawn()
// resolves once the grid shows what the controls say, tapestry.explored once there are sliders.
window.tapestry = { normals };
window.tapestry.ready = loadGenerator().then((generator) => {
  Object.assign(window.tapestry, generator, start(generator));
  return window.tapestry.drawn();
});
window.tapestry.ready.catch(fail);
