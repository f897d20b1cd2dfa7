// The time of the page as a code that survives 4:2:0, scaling and compression.
//
// A band over the full width, the top sixteenth of the window: two rows of 32
// cells. Upper row: tenths of a millisecond since page start, as of the frame
// being painted. Lower row: requestAnimationFrame calls so far.
// Cells, left to right: white, black, 24 bits of Gray code (highest first),
// 5 bits of (value mod 31), white.
"use strict";

const CELLS = 32;
const ROWS = 2;
const DATA_BITS = 24;
const CHECK_BITS = 5;

function cells(value) {
  const v = value % 2 ** DATA_BITS;
  const gray = v ^ (v >>> 1);
  const bits = [1, 0];
  for (let i = DATA_BITS - 1; i >= 0; i--) bits.push((gray >>> i) & 1);
  for (let i = CHECK_BITS - 1; i >= 0; i--) bits.push(((v % 31) >>> i) & 1);
  bits.push(1);
  return bits;
}

// Paints the code into a canvas of one pixel a cell that the style sheet
// stretches; calls `eachFrame(count)` after each painting.
function startBarcode(eachFrame = () => {}) {
  const canvas = document.createElement("canvas");
  canvas.width = CELLS;
  canvas.height = ROWS;
  canvas.style.cssText =
    "position:fixed;left:0;top:0;width:100vw;height:6.25vh;image-rendering:pixelated;z-index:9";
  document.body.append(canvas);
  const context = canvas.getContext("2d", { alpha: false });
  const image = context.createImageData(CELLS, ROWS);
  const pixels = new Uint32Array(image.data.buffer);
  let count = 0;
  requestAnimationFrame(function paint(now) {
    count += 1;
    const all = [...cells(Math.round(now * 10)), ...cells(count)];
    for (let i = 0; i < all.length; i++) pixels[i] = all[i] ? 0xffffffff : 0xff000000;
    context.putImageData(image, 0, 0);
    eachFrame(count, now);
    requestAnimationFrame(paint);
  });
}
