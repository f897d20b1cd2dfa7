//! NAL units of an H.264 byte stream (ITU-T H.264, 7.3.1 and Annex B), and the
//! few header fields that `video` and `still` need. Pure.

/// Type of a NAL unit that carries a slice of an IDR picture.
pub(super) const IDR: u8 = 5;
/// Type of a sequence parameter set.
pub(super) const SPS: u8 = 7;
/// Type of a picture parameter set.
pub(super) const PPS: u8 = 8;

/// `nal_unit_type`; 0 for an empty unit.
pub(super) fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte & 0x1f)
}

/// Whether the unit carries (part of) a picture.
pub(super) fn is_slice(nal: &[u8]) -> bool {
    (1..=IDR).contains(&kind(nal))
}

/// The NAL units of an Annex B byte stream, without start codes.
pub(super) fn split(stream: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while let Some(found) = stream[at..].windows(3).position(|w| w == [0, 0, 1]) {
        if let Some(start) = start {
            units.push(trim(&stream[start..at + found]));
        }
        at += found + 3;
        start = Some(at);
    }
    if let Some(start) = start {
        units.push(trim(&stream[start..]));
    }
    units
}

/// Zeros before the next start code are not part of the unit.
fn trim(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

/// The payload behind the header byte, without emulation prevention bytes.
pub(super) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut payload: Vec<u8> = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal.iter().skip(1) {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// A NAL unit of a header byte and a payload, with emulation prevention bytes.
pub(super) fn escape(header: u8, payload: &[u8]) -> Vec<u8> {
    let mut nal = Vec::with_capacity(payload.len() + 8);
    nal.push(header);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    nal
}

/// Appends the unit with its length in four bytes, as MP4 stores it
/// (ISO/IEC 14496-15, 5.3.4.2).
pub(super) fn append(sample: &mut Vec<u8>, nal: &[u8]) {
    // A unit is a part of one coded picture: far below 4 GiB.
    sample.extend_from_slice(&(nal.len() as u32).to_be_bytes());
    sample.extend_from_slice(nal);
}

/// Reads bits from the most significant one on; `None` at the end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bits read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    /// `ue(v)`, 9.1.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// `se(v)`, 9.1.1.
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
        i32::try_from(value).ok()
    }
}

/// Writes bits from the most significant one on.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Bits used in the last byte, 0 when it is full.
    used: u32,
}

impl Writer {
    pub(super) fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (7 - self.used);
        }
        self.used = (self.used + 1) % 8;
    }

    pub(super) fn bits(&mut self, count: u32, value: u32) {
        for shift in (0..count).rev() {
            self.bit(value >> shift & 1 == 1);
        }
    }

    pub(super) fn ue(&mut self, value: u32) {
        let length = (value + 1).ilog2();
        self.bits(length, 0);
        self.bits(length + 1, value + 1);
    }

    pub(super) fn se(&mut self, value: i32) {
        let double = value.unsigned_abs() * 2;
        self.ue(if value > 0 { double - 1 } else { double });
    }

    /// Fills the last byte with `bit`.
    pub(super) fn align(&mut self, bit: bool) {
        while self.used != 0 {
            self.bit(bit);
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_long_and_short_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x68, 8, 0, 0, 1, 0x65, 0, 0, 3, 1];
        assert_eq!(split(&stream), [&[0x67, 9][..], &[0x68, 8], &[0x65, 0, 0, 3, 1]]);
        assert!(split(&[1, 2, 3]).is_empty());
        assert!(split(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn escaping_is_undone_and_hides_start_codes(
            payload in prop::collection::vec(0..4_u8, 0..200)
        ) {
            let nal = escape(0x41, &payload);
            prop_assert_eq!(unescape(&nal), payload);
            let code = |w: &[u8]| w[0] == 0 && w[1] == 0 && w[2] < 3;
            prop_assert!(!nal.windows(3).any(code));
        }

        #[test]
        fn what_is_written_is_read(a in 0..u32::MAX - 1, b in -1_000_000..1_000_000_i32, c in 0..16_u32) {
            let mut writer = Writer::default();
            writer.ue(a);
            writer.bits(4, c);
            writer.se(b);
            writer.align(true);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.ue(), Some(a));
            prop_assert_eq!(reader.bits(4), Some(c));
            prop_assert_eq!(reader.se(), Some(b));
        }
    }
}
