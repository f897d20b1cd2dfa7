use super::*;

fn refused(wish: QualityWish) -> Vec<(&'static str, String)> {
    let faults = wish.over(Quality::default()).unwrap_err();
    faults.into_iter().map(|fault| (fault.field, fault.problem)).collect()
}

#[test]
fn every_preset_is_a_size_that_can_be_recorded() {
    for preset in Preset::ALL {
        let found: Preset = preset.name.parse().unwrap();
        assert_eq!(found, preset);
        let size = Resolution::new(preset.width, preset.height).unwrap();
        assert_eq!(preset.resolution(), size);
        let wish = QualityWish { preset: Some(preset), ..QualityWish::default() };
        let quality = wish.over(Quality::default()).unwrap();
        assert_eq!((quality.resolution, quality.fps), (size, preset.fps));
        // The name says both: the shorter side and the rate.
        let said = format!("{}p{}", preset.width.min(preset.height), preset.fps);
        assert_eq!(preset.name.trim_start_matches("portrait-"), said);
        assert_eq!(preset.name.starts_with("portrait"), preset.height > preset.width);
    }
    for text in ["", "4k", "720P30", "720p", "1080p25"] {
        let bad = text.parse::<Preset>().unwrap_err();
        assert_eq!(bad.field, "preset");
        assert!(bad.problem.contains("720p30, 720p60, 1080p30"), "{bad}");
    }
}

#[test]
fn what_is_given_wins_over_the_preset_and_that_over_the_configuration() {
    let configured = Quality { rate: Rate::Bitrate(3000), ..Quality::default() };
    let wish = QualityWish { preset: "1080p60".parse().ok(), ..QualityWish::default() };
    let quality = wish.over(configured).unwrap();
    assert_eq!((quality.resolution.width(), quality.fps), (1920, 60));
    assert_eq!(quality.rate, Rate::Bitrate(3000));
    let wish = QualityWish { resolution: Some(Resolution::HD), crf: Some(20), ..wish };
    let quality = wish.over(configured).unwrap();
    assert_eq!((quality.resolution.width(), quality.fps), (1280, 60));
    assert_eq!(quality.rate, Rate::Crf(20));
    let wish = QualityWish { fps: Some(25), ..wish };
    assert_eq!(wish.over(configured).unwrap().fps, 25);
    assert_eq!(QualityWish::default().over(configured), Ok(configured));
}

#[test]
fn each_limit_is_named_with_its_field() {
    let none = QualityWish::default();
    let sized = |name: &str| QualityWish { preset: name.parse().ok(), ..none };
    for (wish, field, said) in [
        (QualityWish { fps: Some(9), ..none }, "fps", "fps must be 10 to 60"),
        (QualityWish { fps: Some(61), ..none }, "fps", "fps must be 10 to 60"),
        (QualityWish { crf: Some(52), ..none }, "crf", "crf must be 0 to 51"),
        (
            QualityWish { bitrate: Some(2_500_000), ..none },
            "bitrate",
            "2500000 is out of range: bitrate must be 139 to 40000 kb/s for 1280x720 at 30 fps",
        ),
        (QualityWish { bitrate: Some(138), ..none }, "bitrate", "139 to 40000"),
        (
            QualityWish { bitrate: Some(500), ..sized("1080p60") },
            "bitrate",
            "623 to 40000 kb/s for 1920x1080 at 60 fps",
        ),
        (QualityWish { bitrate: Some(99), ..sized("480p30") }, "bitrate", "100 to 40000"),
        (
            QualityWish { keyframe_interval_s: Some(0.4), ..none },
            "keyframe_interval",
            "0.5 to 20 seconds",
        ),
        (
            QualityWish { keyframe_interval_s: Some(f64::NAN), ..none },
            "keyframe_interval",
            "0.5 to 20 seconds",
        ),
        (QualityWish { audio_bitrate: Some(31), ..none }, "audio_bitrate", "32 to 320 kb/s"),
        (QualityWish { audio_bitrate: Some(128_000), ..none }, "audio_bitrate", "32 to 320 kb/s"),
        (
            QualityWish { crf: Some(20), bitrate: Some(2000), ..none },
            "bitrate",
            "cannot be given together with crf",
        ),
    ] {
        let faults = refused(wish);
        assert!(
            matches!(&faults[..], [(f, problem)] if *f == field && problem.contains(said)),
            "{wish:?}: {faults:?}"
        );
    }
    // All at once.
    let wish = QualityWish {
        fps: Some(5),
        crf: Some(20),
        bitrate: Some(2000),
        audio_bitrate: Some(1),
        ..none
    };
    let fields: Vec<_> = refused(wish).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["bitrate", "fps", "audio_bitrate"]);
    // The edges are good.
    for wish in [
        QualityWish { fps: Some(10), crf: Some(0), ..none },
        QualityWish { fps: Some(60), crf: Some(51), ..none },
        QualityWish { bitrate: Some(139), keyframe_interval_s: Some(0.5), ..none },
        QualityWish { bitrate: Some(40_000), keyframe_interval_s: Some(20.0), ..none },
        QualityWish { audio_bitrate: Some(320), ..none },
    ] {
        assert!(wish.over(Quality::default()).is_ok(), "{wish:?}");
    }
}

#[test]
fn it_is_written_down_and_read_back_and_older_ones_are_completed() {
    for rate in [Rate::Crf(18), Rate::Bitrate(2500)] {
        let quality = Quality { rate, keyframe_interval_s: 2.5, ..Quality::default() };
        let text = serde_json::to_string(&quality).unwrap();
        assert_eq!(serde_json::from_str::<Quality>(&text).unwrap(), quality, "{text}");
    }
    let old = r#"{"resolution":{"width":720,"height":1280},"fps":25}"#;
    let quality: Quality = serde_json::from_str(old).unwrap();
    assert_eq!((quality.resolution.height(), quality.fps), (1280, 25));
    assert_eq!(quality.rate, Quality::default().rate);
    for bad in [r#"{"fps":61}"#, r#"{"crf":1,"bitrate":1000}"#, r#"{"keyframe_interval_s":0}"#] {
        assert!(serde_json::from_str::<Quality>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_keyframe_interval_is_whole_frames() {
    for (seconds, fps, frames) in [(4.0, 30, 120), (0.5, 11, 6), (20.0, 60, 1200), (0.5, 10, 5)] {
        let quality = Quality { fps, keyframe_interval_s: seconds, ..Quality::default() };
        assert_eq!(quality.gop(), frames);
    }
}
