//! Frames that cost nothing: when the screen shows what it showed before, the
//! file gets a picture in which every macroblock says "as before" (P_Skip,
//! ITU-T H.264, 7.3.5), without asking the encoder. 30 bytes instead of a pass
//! over every pixel.
//!
//! Such a picture takes a number in the stream (`frame_num`, 7.4.3), so the
//! pictures that the encoder makes after it are renumbered. The reference they
//! predict from is the skipped picture, equal to the encoder's own to the last
//! bit.
//!
//! Used by `video`; pure.

use super::nal::{self, Reader, Writer};

/// What the parameter sets of a stream allow [`Still`] to rely on.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Number of both parameter sets.
    id: u32,
    /// Width of `frame_num` in bits.
    frame_num_bits: u32,
    /// `SliceQPY` of a slice without a delta.
    qp: i32,
    /// The slice header says how to deblock.
    deblocking_control: bool,
    macroblocks: u32,
}

/// Makes skipped pictures for one stream and numbers the rest.
#[derive(Debug)]
pub(super) struct Still {
    layout: Layout,
    /// The slice data, the same in every skipped picture.
    skips: Vec<u8>,
}

impl Still {
    /// For a stream with these parameter sets; `None` if it uses anything (more
    /// than one reference, B-frames, CAVLC, interlace ...) that would need more
    /// than this module knows.
    pub(super) fn new(sps: &[u8], pps: &[u8]) -> Option<Self> {
        let layout = layout(sps, pps)?;
        Some(Self { layout, skips: skip_slice_data(layout.macroblocks) })
    }

    /// A picture equal to the one before, the `number`-th since the last IDR
    /// picture, as a NAL unit.
    pub(super) fn repeat(&self, number: u64) -> Vec<u8> {
        // slice_header(), 7.3.3.
        let mut header = Writer::default();
        header.ue(0); // first_mb_in_slice
        header.ue(5); // slice_type: P, as all slices of the picture
        header.ue(self.layout.id); // pic_parameter_set_id
        header.bits(self.layout.frame_num_bits, self.frame_num(number));
        header.bit(false); // num_ref_idx_active_override_flag
        header.bit(false); // ref_pic_list_modification_flag_l0
        header.bit(false); // adaptive_ref_pic_marking_mode_flag
        header.ue(0); // cabac_init_idc
        header.se(SKIP_QP - self.layout.qp); // slice_qp_delta
        if self.layout.deblocking_control {
            header.ue(1); // disable_deblocking_filter_idc: off
        }
        header.align(true); // cabac_alignment_one_bit
        let mut payload = header.into_bytes();
        payload.extend_from_slice(&self.skips);
        // nal_ref_idc 2: the next picture predicts from this one.
        nal::escape(2 << 5 | 1, &payload)
    }

    /// Gives a slice of the encoder's the `number` its picture has in the stream.
    /// `None` if it is no slice of a reference picture.
    pub(super) fn renumber(&self, slice: &[u8], number: u64) -> Option<Vec<u8>> {
        let header = *slice.first()?;
        if header >> 5 & 3 == 0 {
            return None;
        }
        let mut payload = nal::unescape(slice);
        let mut reader = Reader::new(&payload);
        reader.ue()?; // first_mb_in_slice
        reader.ue()?; // slice_type
        reader.ue()?; // pic_parameter_set_id
        let first = reader.position();
        let old = reader.bits(self.layout.frame_num_bits)?;
        let new = self.frame_num(number);
        if old == new {
            return Some(slice.to_vec());
        }
        for index in 0..self.layout.frame_num_bits {
            let bit = new >> (self.layout.frame_num_bits - 1 - index) & 1;
            let at = first + index as usize;
            let mask = 0x80 >> (at % 8);
            payload[at / 8] = payload[at / 8] & !mask | if bit == 1 { mask } else { 0 };
        }
        Some(nal::escape(header, &payload))
    }

    fn frame_num(&self, number: u64) -> u32 {
        // Every picture is a reference, so each counts (7.4.3).
        (number % (1 << self.layout.frame_num_bits)) as u32
    }
}

/// Reads both parameter sets (7.3.2.1.1, 7.3.2.2) and checks what is relied on.
fn layout(sps: &[u8], pps: &[u8]) -> Option<Layout> {
    let sps = nal::unescape(sps);
    let mut sps = Reader::new(&sps);
    let profile = sps.bits(8)?;
    sps.bits(16)?; // constraint flags, level_idc
    let id = sps.ue()?;
    // 100 is High, the profile `video` asks for; others have other fields.
    let plain = profile == 100
        && sps.ue()? == 1 // chroma_format_idc: 4:2:0
        && sps.ue()? == 0 // bit_depth_luma_minus8
        && sps.ue()? == 0 // bit_depth_chroma_minus8
        && sps.bits(2)? == 0; // qpprime_y_zero_transform_bypass, scaling matrix
    let frame_num_bits = sps.ue()? + 4;
    let plain = plain
        && sps.ue()? == 2 // pic_order_cnt_type: output order is decoding order
        && sps.ue()? == 1; // max_num_ref_frames
    sps.bit()?; // gaps_in_frame_num_value_allowed_flag
    let (columns, rows) = (sps.ue()?.checked_add(1)?, sps.ue()?.checked_add(1)?);
    let plain = plain && frame_num_bits <= 16 && sps.bit()?; // frame_mbs_only_flag

    let pps = nal::unescape(pps);
    let mut pps = Reader::new(&pps);
    let plain = plain
        && pps.ue()? == id // pic_parameter_set_id
        && pps.ue()? == id // seq_parameter_set_id
        && pps.bit()? // entropy_coding_mode_flag: CABAC
        && !pps.bit()? // bottom_field_pic_order_in_frame_present_flag
        && pps.bits(3)? == 7 // one slice group, one reference each way
        && pps.bits(3)? == 0; // weighted_pred_flag, weighted_bipred_idc
    let qp = pps.se()?.checked_add(26)?;
    pps.se()?; // pic_init_qs_minus26
    pps.se()?; // chroma_qp_index_offset
    let deblocking_control = pps.bit()?;
    pps.bit()?; // constrained_intra_pred_flag
    let plain = plain && !pps.bit()?; // redundant_pic_cnt_present_flag
    let macroblocks = columns.checked_mul(rows)?;
    plain.then_some(Layout { id, frame_num_bits, qp, deblocking_control, macroblocks })
}

/// `SliceQPY` of skipped pictures. Nothing is quantised in them; it only starts
/// the probability of `mb_skip_flag` at a state where "skipped" is the likely
/// value, and from where it only gets likelier.
const SKIP_QP: i32 = 51;

/// `pStateIdx` of `mb_skip_flag` (ctxIdx 11, m = 23, n = 33 of Table 9-13) at
/// [`SKIP_QP`], by 9.3.1.1.
const SKIP_STATE: usize = (((23 * SKIP_QP) >> 4) + 33 - 64) as usize;

/// `rangeTabLPS` (Table 9-44) from [`SKIP_STATE`] on to the last adaptive state.
const RANGE_LPS: [[u32; 4]; 63 - SKIP_STATE] = [
    [16, 20, 23, 27],
    [15, 19, 22, 25],
    [14, 18, 21, 24],
    [14, 17, 20, 23],
    [13, 16, 19, 22],
    [12, 15, 18, 21],
    [12, 14, 17, 20],
    [11, 14, 16, 19],
    [11, 13, 15, 18],
    [10, 12, 15, 17],
    [10, 12, 14, 16],
    [9, 11, 13, 15],
    [9, 11, 12, 14],
    [8, 10, 12, 14],
    [8, 9, 11, 13],
    [7, 9, 11, 12],
    [7, 9, 10, 12],
    [7, 8, 10, 11],
    [6, 8, 9, 11],
    [6, 7, 9, 10],
    [6, 7, 8, 9],
];

/// slice_data() (7.3.4) of a picture whose macroblocks are all skipped, with its
/// trailing bits, in CABAC (9.3.4.2).
///
/// Every bin but the last is the most probable one, so `codILow` stays 0 and
/// what is left of the arithmetic coder is its range.
fn skip_slice_data(macroblocks: u32) -> Vec<u8> {
    let mut writer = Writer::default();
    let (mut range, mut state) = (510_u32, 0);
    // The first bit that PutBit would write is dropped (9.3.4.2).
    let mut first = true;
    let mut zero = |writer: &mut Writer| {
        if !std::mem::take(&mut first) {
            writer.bit(false);
        }
    };
    for number in 1..=macroblocks {
        // mb_skip_flag: one. Left and upper neighbour are skipped too, or
        // missing: ctxIdxInc is 0 everywhere.
        range -= RANGE_LPS[state][(range >> 6 & 3) as usize];
        state = (state + 1).min(RANGE_LPS.len() - 1);
        if range < 256 {
            range <<= 1;
            zero(&mut writer);
        }
        // end_of_slice_flag: one behind the last macroblock.
        range -= 2;
        if number < macroblocks && range < 256 {
            range <<= 1;
            zero(&mut writer);
        }
    }
    // EncodeFlush (9.3.4.5) with codILow = range: it is renormalised by seven
    // bits, its last bit is the stop bit of the slice.
    let low = range;
    for shift in (3..10).rev() {
        let bit = low >> shift & 1 == 1;
        if !std::mem::take(&mut first) {
            writer.bit(bit);
        }
    }
    writer.bits(2, low >> 1 & 3);
    writer.bit(true);
    writer.align(false);
    writer.into_bytes()
}
