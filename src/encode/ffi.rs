//! The fenced `unsafe` of `encode`: what libavcodec offers and its wrapper does
//! not. Lends a [`Picture`] to an `AVFrame` without a copy, opens an encoder
//! and sees which options it did not take, reads the encoder's headers, puts pictures
//! into the memory of a graphics card.
//!
//! Called by `video`, `hardware` and `audio` alone.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use ffmpeg_next::codec::Context;
use ffmpeg_next::codec::encoder::{audio, video};
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Codec, Dictionary, Error, frame};

use crate::media::Picture;

/// Surfaces that an encoder may hold at once: it has one reference and gives each
/// back with its packet.
const SURFACES: i32 = 8;

/// A frame that shows `picture` where it lies. The picture lives until
/// libavcodec has dropped its last reference to the frame.
pub(super) fn lend(picture: &Arc<Picture>) -> Result<frame::Video, Error> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let chroma = (width / 2) * (height / 2);
    if (picture.y.len(), picture.u.len(), picture.v.len()) != (width * height, chroma, chroma) {
        return Err(Error::InvalidData);
    }
    let mut frame = frame::Video::empty();
    frame.set_format(Pixel::YUV420P);
    frame.set_width(picture.width);
    frame.set_height(picture.height);
    let owner = Arc::into_raw(picture.clone()).cast_mut().cast::<c_void>();
    // SAFETY: `owner` keeps the planes alive and unmoved until `release` runs,
    // and the READONLY flag makes libavcodec copy before it would write. The
    // buffer's extent is the luma plane; libavcodec only counts references to
    // it. The planes have exactly the size that format, width, height and
    // line sizes imply (checked above).
    unsafe {
        let buffer = ffi::av_buffer_create(
            picture.y.as_ptr().cast_mut(),
            picture.y.len(),
            Some(release),
            owner,
            ffi::AV_BUFFER_FLAG_READONLY,
        );
        if buffer.is_null() {
            drop(Arc::from_raw(owner.cast_const().cast::<Picture>()));
            return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
        }
        let raw = &mut *frame.as_mut_ptr();
        raw.buf[0] = buffer;
        for (plane, (data, stride)) in
            [(&picture.y, width), (&picture.u, width / 2), (&picture.v, width / 2)]
                .into_iter()
                .enumerate()
        {
            raw.data[plane] = data.as_ptr().cast_mut();
            raw.linesize[plane] = stride as i32;
        }
    }
    Ok(frame)
}

/// Gives back the reference that [`lend`] took.
unsafe extern "C" fn release(owner: *mut c_void, _luma: *mut u8) {
    // SAFETY: `owner` came from `Arc::into_raw` in `lend`, and libavutil calls
    // this once, when the last reference to the buffer is gone.
    drop(unsafe { Arc::from_raw(owner.cast_const().cast::<Picture>()) });
}

/// Opens `context` with `options` and names the options nobody took, which
/// libavcodec leaves unsaid.
pub(super) fn open(
    mut context: video::Video,
    codec: Codec,
    options: &[(&str, String)],
) -> Result<(video::Encoder, Vec<String>), Error> {
    let left = open_any(&mut context, codec, options)?;
    Ok((video::Encoder(context), left))
}

/// The same for sound.
pub(super) fn open_audio(
    mut context: audio::Audio,
    codec: Codec,
    options: &[(&str, String)],
) -> Result<(audio::Encoder, Vec<String>), Error> {
    let left = open_any(&mut context, codec, options)?;
    Ok((audio::Encoder(context), left))
}

fn open_any(
    context: &mut Context,
    codec: Codec,
    options: &[(&str, String)],
) -> Result<Vec<String>, Error> {
    let wanted: Dictionary<'_> =
        options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    // SAFETY: both pointers are live; `avcodec_open2` replaces the dictionary by
    // one with what it did not take, which `own` frees.
    unsafe {
        let mut raw = wanted.disown();
        let code = ffi::avcodec_open2(context.as_mut_ptr(), codec.as_ptr(), &mut raw);
        let left = Dictionary::own(raw);
        if code < 0 {
            return Err(Error::from(code));
        }
        Ok(left.iter().map(|(name, _)| name.to_owned()).collect())
    }
}

/// Pictures in the memory of a graphics card, of one size, for one encoder.
pub(super) struct Surfaces {
    /// An `AVHWFramesContext`, which holds its device.
    frames: *mut ffi::AVBufferRef,
}

// SAFETY: the reference is this value's own, and libavutil counts references
// atomically; the device is only used by whoever has the value.
unsafe impl Send for Surfaces {}

impl Surfaces {
    /// NV12 surfaces on the default VA-API device.
    pub(super) fn of_vaapi(width: u32, height: u32) -> Result<Self, Error> {
        // SAFETY: `device` is null or a reference that is given back below, whether
        // or not the frames took one of their own. The fields that are written are
        // those that libavutil asks for before `av_hwframe_ctx_init`, of a context
        // that nobody else has yet.
        unsafe {
            let mut device = ptr::null_mut();
            let kind = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI;
            let code =
                ffi::av_hwdevice_ctx_create(&mut device, kind, ptr::null(), ptr::null_mut(), 0);
            if code < 0 {
                return Err(Error::from(code));
            }
            let frames = ffi::av_hwframe_ctx_alloc(device);
            ffi::av_buffer_unref(&mut device);
            if frames.is_null() {
                return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
            }
            let surfaces = Self { frames };
            let raw = &mut *(*frames).data.cast::<ffi::AVHWFramesContext>();
            raw.format = ffi::AVPixelFormat::AV_PIX_FMT_VAAPI;
            raw.sw_format = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
            raw.width = width as i32;
            raw.height = height as i32;
            raw.initial_pool_size = SURFACES;
            match ffi::av_hwframe_ctx_init(frames) {
                code if code < 0 => Err(Error::from(code)),
                _ => Ok(surfaces),
            }
        }
    }

    /// Tells an encoder that is not open yet that its pictures come from here.
    pub(super) fn lend_to(&self, context: &mut video::Video) -> Result<(), Error> {
        // SAFETY: the context is live and owns the new reference from here on.
        unsafe {
            let reference = ffi::av_buffer_ref(self.frames);
            if reference.is_null() {
                return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
            }
            (*context.as_mut_ptr()).hw_frames_ctx = reference;
        }
        Ok(())
    }

    /// A copy of `frame`, NV12 of the same size, on a surface.
    pub(super) fn upload(&self, frame: &frame::Video) -> Result<frame::Video, Error> {
        let mut surface = frame::Video::empty();
        // SAFETY: both frames are live; libavutil fills the empty one.
        unsafe {
            let code = ffi::av_hwframe_get_buffer(self.frames, surface.as_mut_ptr(), 0);
            if code < 0 {
                return Err(Error::from(code));
            }
            let code = ffi::av_hwframe_transfer_data(surface.as_mut_ptr(), frame.as_ptr(), 0);
            if code < 0 {
                return Err(Error::from(code));
            }
        }
        Ok(surface)
    }
}

impl Drop for Surfaces {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that this value holds.
        unsafe { ffi::av_buffer_unref(&mut self.frames) }
    }
}

/// The encoder's out-of-band headers: parameter sets or AudioSpecificConfig.
pub(super) fn extradata(context: &ffmpeg_next::codec::Context) -> Vec<u8> {
    // SAFETY: an open context's `extradata` is null or `extradata_size` bytes.
    unsafe {
        let raw = &*context.as_ptr();
        match usize::try_from(raw.extradata_size) {
            Ok(size) if !raw.extradata.is_null() => {
                std::slice::from_raw_parts(raw.extradata, size).to_vec()
            }
            _ => Vec::new(),
        }
    }
}

/// Samples that the audio encoder puts before the first real one.
pub(super) fn priming(context: &ffmpeg_next::codec::Context) -> u32 {
    // SAFETY: reads a plain field of a live context.
    unsafe { u32::try_from((*context.as_ptr()).initial_padding).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Pool;

    #[test]
    fn a_lent_picture_lives_as_long_as_its_frame() {
        let picture = Arc::new(Pool::new(64, 32).take());
        let frame = lend(&picture).unwrap();
        assert_eq!(Arc::strong_count(&picture), 2);
        assert_eq!(frame.data(0).as_ptr(), picture.y.as_ptr());
        assert_eq!(frame.stride(1), 32);
        drop(frame);
        assert_eq!(Arc::strong_count(&picture), 1);
    }

    #[test]
    fn a_picture_of_the_wrong_size_is_refused() {
        let mut picture = Pool::new(64, 32).take();
        picture.u.pop();
        assert!(lend(&Arc::new(picture)).is_err());
    }
}
