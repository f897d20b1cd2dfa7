//! From a client's pixels to a [`Picture`].

use std::io;

use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
    bgra_to_yuv420,
};

use super::shm::Buffer;
use crate::media::{Picture, Pool};

/// Why a buffer did not become a picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum PaintError {
    /// The client took the memory away.
    #[error("the file of the buffer cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The sizes do not fit; a mistake of ours.
    #[error("cannot convert the picture: {0}")]
    Convert(#[from] YuvError),
}

/// `buffer` as I420, BT.709 limited range, in a picture of `pool`. Both must be
/// of the same size.
pub(super) fn paint(buffer: &Buffer, pool: &Pool) -> Result<Picture, PaintError> {
    let mut picture = pool.take();
    let (width, height) = (picture.width, picture.height);
    let mut planes = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut picture.y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(&mut picture.u),
        u_stride: width / 2,
        v_plane: BufferStoreMut::Borrowed(&mut picture.v),
        v_stride: width / 2,
        width,
        height,
    };
    // An opaque screen shows premultiplied colours over black, which is what they
    // are: the fourth byte of a pixel, alpha or not, does not matter.
    bgra_to_yuv420(
        &mut planes,
        &buffer.pixels()?,
        buffer.stride,
        YuvRange::Limited,
        YuvStandardMatrix::Bt709,
        YuvConversionMode::Balanced,
    )?;
    Ok(picture)
}
