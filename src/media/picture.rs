//! One picture of the screen in the layout encoders take, and the pool that
//! recycles its memory.
//!
//! Made by `display`, carried by `timeline`, read by `encode`. Knows nothing of
//! where it came from.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// An I420 picture: 8-bit 4:2:0 planar, BT.709 limited range.
///
/// `y` is `width * height` bytes, `u` and `v` are a quarter of that each; rows
/// are packed without padding (stride = width, width / 2, width / 2).
#[derive(Debug)]
pub struct Picture {
    /// Pixels per row of luma; even.
    pub width: u32,
    /// Rows of luma; even.
    pub height: u32,
    /// Luma.
    pub y: Vec<u8>,
    /// Blue difference, half size both ways.
    pub u: Vec<u8>,
    /// Red difference, half size both ways.
    pub v: Vec<u8>,
    /// Where the memory goes when the last reader drops it.
    home: Weak<Shelf>,
}

impl Picture {
    /// True if both look alike to the last bit.
    pub fn same_pixels(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height)
            && self.y == other.y
            && self.u == other.u
            && self.v == other.v
    }
}

type Planes = (Vec<u8>, Vec<u8>, Vec<u8>);
type Shelf = Mutex<Vec<Planes>>;

impl Drop for Picture {
    fn drop(&mut self) {
        if let Some(shelf) = self.home.upgrade() {
            let planes = (
                std::mem::take(&mut self.y),
                std::mem::take(&mut self.u),
                std::mem::take(&mut self.v),
            );
            shelf.lock().unwrap_or_else(PoisonError::into_inner).push(planes);
        }
    }
}

/// Hands out pictures of one size and takes their memory back.
#[derive(Debug)]
pub struct Pool {
    width: u32,
    height: u32,
    shelf: Arc<Shelf>,
}

impl Pool {
    /// A pool of pictures of `width` x `height` pixels; both must be even.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, shelf: Arc::default() }
    }

    /// A picture with undefined content, for the caller to fill and share.
    pub fn take(&self) -> Picture {
        let luma = self.width as usize * self.height as usize;
        let (y, u, v) = self
            .shelf
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_else(|| (vec![16; luma], vec![128; luma / 4], vec![128; luma / 4]));
        Picture {
            width: self.width,
            height: self.height,
            y,
            u,
            v,
            home: Arc::downgrade(&self.shelf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_returns_to_the_pool() {
        let pool = Pool::new(4, 2);
        let first = pool.take();
        assert_eq!((first.y.len(), first.u.len(), first.v.len()), (8, 2, 2));
        let address = first.y.as_ptr();
        drop(first);
        assert_eq!(pool.take().y.as_ptr(), address);
    }

    #[test]
    fn a_picture_outlives_its_pool() {
        let pool = Pool::new(4, 2);
        let picture = pool.take();
        drop(pool);
        assert_eq!(picture.y.len(), 8);
    }
}
