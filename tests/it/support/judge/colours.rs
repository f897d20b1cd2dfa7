//! The colours of `patches.html` as a player that follows BT.709 would show them.

use std::path::Path;

use super::super::pages::own_pages;
use super::{decoded, probe};

/// Columns and rows of the page's grid.
const GRID: (usize, usize) = (6, 4);

/// Red, green and blue, 0 to 255.
pub type Rgb = [f64; 3];

/// The colours that the page paints, row by row, read in its own source.
pub fn painted() -> Vec<Rgb> {
    let page = std::fs::read_to_string(own_pages().join("patches.html")).unwrap();
    let (_, list) = page.split_once("PATCHES = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let channel = |hex: &str, i: usize| f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap());
    let patches = list.split('"').filter_map(|word| word.strip_prefix('#'));
    patches.map(|hex| [channel(hex, 0), channel(hex, 2), channel(hex, 4)]).collect()
}

/// The mean colour in the middle of each patch, in the frame shown at `second`.
///
/// Takes the samples as they are in the file and applies BT.709, limited range,
/// whatever the tags say: a file in another matrix is found to be off.
pub fn recorded(file: &Path, second: f64) -> Vec<Rgb> {
    let video = probe(file).video.unwrap();
    let (width, height) = (video.width as usize, video.height as usize);
    // Naming both formats keeps ffmpeg from converting full range to limited.
    let at = format!("select=gte(t\\,{second}),format=yuv420p|yuvj420p");
    let args = ["-map", "0:v:0", "-vf", &at, "-frames:v", "1"];
    let bytes = decoded(file, &args, "rawvideo");
    let (luma, chroma) = bytes.split_at(width * height);
    let (blue, red) = chroma.split_at(chroma.len() / 2);
    let cells = (0..GRID.1).flat_map(|row| (0..GRID.0).map(move |column| (column, row)));
    let at_cell = |(column, row)| {
        let mean = |plane: &[u8], w: usize, h: usize| middle_mean(plane, (w, h), (column, row));
        rgb(
            mean(luma, width, height),
            mean(blue, width / 2, height / 2),
            mean(red, width / 2, height / 2),
        )
    };
    cells.map(at_cell).collect()
}

/// Mean of the middle ninth of one cell of the grid.
fn middle_mean(
    plane: &[u8],
    (width, height): (usize, usize),
    (column, row): (usize, usize),
) -> f64 {
    let third = |size: usize, parts: usize, index: usize| {
        let cell = size as f64 / parts as f64;
        let from = (index as f64 + 1.0 / 3.0) * cell;
        from as usize..(from + cell / 3.0) as usize
    };
    let columns = third(width, GRID.0, column);
    let rows = third(height, GRID.1, row);
    let count = (columns.len() * rows.len()) as f64;
    let line = |y: usize| &plane[y * width..][columns.clone()];
    rows.flat_map(line).map(|&v| f64::from(v)).sum::<f64>() / count
}

/// BT.709 (ITU-R BT.709-6 section 3), limited range.
fn rgb(y: f64, cb: f64, cr: f64) -> Rgb {
    let y = (y - 16.0) / 219.0;
    let (cb, cr) = ((cb - 128.0) / 224.0, (cr - 128.0) / 224.0);
    let red = y + 1.5748 * cr;
    let blue = y + 1.8556 * cb;
    let green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152;
    [red, green, blue].map(|c| (c * 255.0).clamp(0.0, 255.0))
}

/// The largest difference of any channel of any patch, 0 to 255.
pub fn worst(painted: &[Rgb], recorded: &[Rgb]) -> f64 {
    assert_eq!(painted.len(), recorded.len());
    let channels = painted.iter().flatten().zip(recorded.iter().flatten());
    channels.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::super::{browser, media, pages::Pages, scratch};
    use super::*;

    #[test]
    fn the_right_matrix_and_range_pass_and_the_wrong_ones_do_not() {
        let dir = scratch();
        let pages = Pages::with(dir.path());
        let png = dir.path().join("page.png");
        browser::screenshot(&pages.url("patches.html"), (1280, 720), &png);
        let off = |conversion: &str| {
            let film = dir.path().join("film.mp4");
            media::ffmpeg(&format!(
                "-loop 1 -t 1 -i {} -vf scale={conversion}:flags=accurate_rnd,format=yuv420p \
                 -c:v libx264 -crf 10 {}",
                png.display(),
                film.display()
            ));
            worst(&painted(), &recorded(&film, 0.5))
        };
        assert_eq!(painted().len(), GRID.0 * GRID.1);
        let right = off("out_color_matrix=bt709:out_range=tv");
        assert!(right < 4.0, "off by {right}");
        for wrong in ["out_color_matrix=bt601:out_range=tv", "out_color_matrix=bt709:out_range=pc"]
        {
            let found = off(wrong);
            assert!(found > 10.0, "{wrong}: off by {found}");
        }
    }
}
