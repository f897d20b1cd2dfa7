// Where the tiles go: pure arithmetic on whole pixels, { x, y, w, h } each.

const RATIO = 16 / 9;

// As many columns as make the pictures largest. With `bleed` the tiles fill the
// area and touch; otherwise they keep a gap and a ratio from 4:3 to 16:9.
export function grid(count, width, height, bleed) {
  if (count === 0) return [];
  let best = { size: -1 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const size = Math.min(width / columns, (height / rows) * RATIO);
    const empty = columns * rows - count;
    // Of equal sizes the one with fewer holes, then with more columns: a picture
    // cut at its sides loses less than one cut above and below.
    if (size > best.size + 0.5 || (size > best.size - 0.5 && empty <= best.empty)) {
      best = { size, columns, rows, empty };
    }
  }
  const { columns, rows } = best;
  const place = (index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    // Columns from the middle of the area; a short last row is centred.
    return { row, column: index - row * columns - inRow / 2 };
  };
  const indices = Array.from({ length: count }, (_, index) => index);
  if (bleed) {
    return indices.map((index) => {
      const { row, column } = place(index);
      const x = Math.round(width / 2 + (column * width) / columns);
      const y = Math.round((row * height) / rows);
      return {
        x,
        y,
        w: Math.round(width / 2 + ((column + 1) * width) / columns) - x,
        h: Math.round(((row + 1) * height) / rows) - y,
      };
    });
  }
  const gap = 8;
  const cellW = (width - gap) / columns - gap;
  const cellH = (height - gap) / rows - gap;
  const w = Math.floor(Math.min(cellW, cellH * RATIO));
  const h = Math.floor(Math.min(cellH, (cellW * 3) / 4));
  return indices.map((index) => {
    const { row, column } = place(index);
    return {
      x: Math.round(width / 2 + column * (w + gap) + gap / 2),
      y: Math.round(height / 2 + (row - rows / 2) * (h + gap) + gap / 2),
      w,
      h,
    };
  });
}

// One large tile and the others beside it: in a strip at the right, or below on
// a high screen. The first rectangle is the large one; what has no room is null.
export function spotlight(count, width, height, bleed) {
  if (count <= 1) return grid(count, width, height, bleed);
  const gap = bleed ? 0 : 8;
  if (height > width) {
    const top = Math.round(Math.min(width, height * 0.6));
    const others = grid(count - 1, width, height - top, bleed);
    return [
      { x: gap, y: gap, w: width - 2 * gap, h: top - gap },
      ...others.map((tile) => ({ ...tile, y: tile.y + top })),
    ];
  }
  const thick = Math.round(Math.max(140, width * 0.2));
  const step = Math.round(thick / RATIO) + gap;
  const shown = Math.min(count - 1, Math.max(1, Math.floor((height - gap) / step)));
  const start = Math.round((height - shown * step + gap) / 2);
  const tiles = [{ x: gap, y: gap, w: width - thick - 2 * gap, h: height - 2 * gap }];
  for (let index = 0; index < count - 1; index += 1) {
    const tile = { x: width - thick, y: start + index * step, w: thick - gap, h: step - gap };
    tiles.push(index < shown ? tile : null);
  }
  return tiles;
}
