//! Keyframes of a real recording as JPEGs.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::scene::{HEIGHT, Scene, WIDTH, number_in};
use crate::encode::mux::Film;
use crate::encode::{EncodeError, Sheet, sheet};

/// Width, height and luma of a JPEG, by somebody else's decoder.
fn decoded(jpeg: &Path, width: usize, height: usize) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(jpeg)
        .args(["-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.len(), width * height);
    output.stdout
}

#[test]
fn posters_and_sheets_show_the_frames_they_are_made_of() {
    let mut scene = Scene::new(10, Duration::from_secs(3600));
    scene.encoder.begin(super::scene::EPOCH);
    for number in 0..=100 {
        scene.tick(number, true);
        scene.sound_until(number);
    }
    scene.encoder.stop(scene.time(100));
    let Scene { encoder, directory, .. } = scene;
    let out = directory.path().join("film.mp4");
    encoder.finish(&out).unwrap();
    let film = Film::open(File::open(&out).unwrap(), &out).unwrap().unwrap();
    let frames: Vec<_> = (0..3).map(|number| film.read(number).unwrap().unwrap()).collect();
    assert_eq!(film.keyframes().len(), 3);
    let jpeg = directory.path().join("a.jpg");

    let poster = Sheet { edge: 1920, columns: 1, quality: 85 };
    for (frame, number) in frames.iter().zip([0, 40, 80]) {
        std::fs::write(&jpeg, sheet([frame.clone()].into_iter(), poster).unwrap()).unwrap();
        assert_eq!(number_in(&decoded(&jpeg, WIDTH, HEIGHT)), number);
    }

    let small = Sheet { edge: 320, columns: 2, quality: 85 };
    std::fs::write(&jpeg, sheet(frames.into_iter(), small).unwrap()).unwrap();
    let luma = decoded(&jpeg, WIDTH, HEIGHT);
    // Each tile, brought back to its size.
    let tile = |column: usize, row: usize| -> Vec<u8> {
        let at =
            |x: usize, y: usize| (row * HEIGHT / 2 + y / 2) * WIDTH + column * WIDTH / 2 + x / 2;
        (0..WIDTH * HEIGHT).map(|pixel| luma[at(pixel % WIDTH, pixel / WIDTH)]).collect()
    };
    assert_eq!([tile(0, 0), tile(1, 0), tile(0, 1)].map(|t| number_in(&t)), [0, 40, 80]);
    assert!(tile(1, 1).iter().all(|&luma| luma < 4), "no fourth frame");
}

#[test]
fn what_is_no_frame_is_refused() {
    let how = Sheet { edge: 160, columns: 1, quality: 80 };
    assert!(matches!(sheet(std::iter::empty(), how), Err(EncodeError::Empty)));
    for noise in [Vec::new(), vec![0; 100], (0..=255).cycle().take(5000).collect()] {
        let refused = sheet([noise].into_iter(), how);
        assert!(matches!(refused, Err(EncodeError::Codec { .. })), "{refused:?}");
    }
}
