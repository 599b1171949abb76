// Random numbers that a seed alone decides, the same in every browser.
//
// The n-th 32-bit word of seed s is mix(mix(s) + n * 0x9e3779b9), where mix is MurmurHash3's
// finaliser and all arithmetic is modulo 2^32. Words 2k and 2k + 1 make the normals 2k and 2k + 1
// by Box and Muller (1958): r = sqrt(-2 log((a + 1) / 2^32)), t = 2 pi b / 2^32, then r cos t and
// r sin t.

const GOLDEN = 0x9e3779b9;

function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** `count` draws from N(0, 1), as a Float32Array; `seed` is taken modulo 2^32. */
export function normals(seed, count) {
  const start = mix(seed);
  const word = (n) => mix(start + Math.imul(n, GOLDEN));
  const values = new Float32Array(count);
  for (let n = 0; n < count; n += 2) {
    const radius = Math.sqrt(-2 * Math.log((word(n) + 1) / 2 ** 32));
    const angle = (2 * Math.PI * word(n + 1)) / 2 ** 32;
    values[n] = radius * Math.cos(angle);
    if (n + 1 < count) values[n + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** z moved by the sum of amounts[k] * ways[k], then set back to its own length.
 *
 * Almost all of N(0, I) lies near one sphere: a z moved off it would leave what the generator was
 * trained on.
 */
export function moved(z, ways, amounts) {
  const sum = z.map((v, j) => ways.reduce((total, way, k) => total + amounts[k] * way[j], v));
  const scale = Math.hypot(...z) / (Math.hypot(...sum) || 1);
  return sum.map((v) => v * scale);
}
