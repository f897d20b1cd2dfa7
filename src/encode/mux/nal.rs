//! What can be told of a sample without decoding it.

/// The NAL units of an access unit, each behind its 4-byte length (ISO/IEC
/// 14496-15, 5.3.4.2). `None` if the lengths do not add up, as in an Annex B
/// stream.
pub(super) fn units(sample: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, mut units) = (sample, Vec::new());
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (unit, next) = tail.split_at_checked(length)?;
        if unit.is_empty() {
            return None;
        }
        units.push(unit);
        rest = next;
    }
    (rest.is_empty() && !units.is_empty()).then_some(units)
}

/// Whether no page of a video sample was lost: a lost page reads as zeros, and a
/// NAL unit never holds three of them in a row (ITU-T H.264, 7.4.1).
pub(super) fn video_is_intact(sample: &[u8]) -> bool {
    let zeros = |unit: &[u8]| unit.windows(3).any(|three| three == [0; 3]);
    units(sample).is_some_and(|units| !units.into_iter().any(zeros))
}

/// Whether an AAC packet was not lost altogether: none consists of zeros.
pub(super) fn audio_is_intact(sample: &[u8]) -> bool {
    sample.iter().any(|&byte| byte != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_add_up() {
        let table: [(&[u8], Option<usize>); 7] = [
            (&[0, 0, 0, 1, 9], Some(1)),
            (&[0, 0, 0, 2, 9, 9, 0, 0, 0, 1, 7], Some(2)),
            (&[], None),
            (&[0, 0, 0, 0], None),
            (&[0, 0, 0, 2, 9], None),
            (&[0, 0, 0, 1, 9, 0], None),
            // Annex B: a start code reads as the length 1.
            (&[0, 0, 0, 1, 0x67, 0x64, 0x00, 0x28, 0xac], None),
        ];
        for (sample, count) in table {
            assert_eq!(units(sample).map(|units| units.len()), count, "{sample:?}");
        }
    }

    #[test]
    fn a_lost_page_shows() {
        assert!(video_is_intact(&[0, 0, 0, 4, 0x65, 0, 0, 3]));
        assert!(!video_is_intact(&[0, 0, 0, 4, 0x65, 0, 0, 0]));
        assert!(audio_is_intact(&[0, 0x21]));
        assert!(!audio_is_intact(&[0, 0]));
    }
}
