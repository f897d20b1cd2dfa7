//! Whether a picture is one colour: a page that stayed white, or never came.
//!
//! Used by the encode thread on the pictures of a recording until one is not;
//! pure.

use crate::media::Picture;

/// Values this far from a plane's colour still are that colour, either way.
const TOLERANCE: usize = 3;

/// The share of samples that may have any other, in thousandths.
const OTHERS: u32 = 10;

/// Of how many rows of a plane, and pixels of such a row, one is looked at; which
/// one moves on from group to group of rows, and each row begins [`SHIFT`] pixels
/// further. So stripes and grids of any pitch are hit about as often as they are
/// wide, and 99 % of the samples are about 99 % of the picture. Some 40 000 samples at
/// 1280x720 take less than a tenth of a millisecond.
const ROWS: usize = 5;
const PIXELS: usize = 7;
const SHIFT: usize = 3;

/// True if 99 % of each plane lie within 3 of one value.
pub(super) fn is_uniform(picture: &Picture) -> bool {
    let width = picture.width as usize;
    is_one_value(&picture.y, width)
        && is_one_value(&picture.u, width / 2)
        && is_one_value(&picture.v, width / 2)
}

fn is_one_value(plane: &[u8], width: usize) -> bool {
    let mut counts = [0_u32; 256];
    let mut total = 0;
    let looked_at = |row: &usize| row % ROWS == row / ROWS % ROWS;
    let rows = plane.chunks_exact(width.max(1)).enumerate();
    for (number, (_, row)) in rows.filter(|(row, _)| looked_at(row)).enumerate() {
        for value in row.iter().skip(number * SHIFT % PIXELS).step_by(PIXELS) {
            counts[usize::from(*value)] += 1;
            total += 1;
        }
    }
    let most = counts.windows(2 * TOLERANCE + 1).map(|window| window.iter().sum::<u32>()).max();
    most.is_some_and(|most| total - most <= total * OTHERS / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Pool;

    const WIDTH: usize = 640;
    const HEIGHT: usize = 480;

    fn plain(y: u8, u: u8, v: u8) -> Picture {
        let mut picture = Pool::new(WIDTH as u32, HEIGHT as u32).take();
        picture.y.fill(y);
        picture.u.fill(u);
        picture.v.fill(v);
        picture
    }

    #[test]
    fn one_colour_is_uniform_with_noise_and_specks() {
        for (y, u, v) in [(16, 128, 128), (235, 128, 128), (62, 102, 240), (0, 0, 255)] {
            let mut picture = plain(y, u, v);
            assert!(is_uniform(&picture));
            for (at, luma) in picture.y.iter_mut().enumerate() {
                *luma = luma.saturating_add([0, 2, 3, 1][at * 7919 % 4]);
            }
            assert!(is_uniform(&picture));
            // Half a percent of the picture, as a caret or a spinner.
            for row in 100..140 {
                picture.y[row * WIDTH + 200..][..38].fill(120);
            }
            assert!(is_uniform(&picture));
        }
    }

    #[test]
    fn text_lines_and_tints_are_not() {
        // Two percent, as a line of text.
        let mut text = plain(235, 128, 128);
        for row in 200..220 {
            for column in (100..540).step_by(3) {
                text.y[row * WIDTH + column..][..2].fill(16);
            }
        }
        assert!(!is_uniform(&text));
        // Rulers of every pitch, however they fall.
        for pitch in 2..=40 {
            for (down, name) in [(true, "rows"), (false, "columns")] {
                let mut ruled = plain(235, 128, 128);
                for (at, luma) in ruled.y.iter_mut().enumerate() {
                    let along = if down { at / WIDTH } else { at % WIDTH };
                    if along % pitch == 0 {
                        *luma = 100;
                    }
                }
                assert!(!is_uniform(&ruled), "{name} every {pitch}");
            }
        }
        // A colour that luma does not see.
        let mut tinted = plain(128, 128, 128);
        tinted.v[..WIDTH * HEIGHT / 40].fill(140);
        assert!(!is_uniform(&tinted));
        // A slope never leaves the tolerance of its neighbours, but that of one value.
        let mut slope = plain(128, 128, 128);
        for (at, luma) in slope.y.iter_mut().enumerate() {
            *luma = 100 + (at % WIDTH * 12 / WIDTH) as u8;
        }
        assert!(!is_uniform(&slope));
    }
}
