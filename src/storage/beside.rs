//! Small files beside a recording, under its own name: its poster, its sprite sheet.
//!
//! Called by `node`; they come after the recording and go before it.

use std::io;

use bytes::Bytes;

use super::Destination;
use super::error::StorageError;

/// What may lie beside a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// One picture of it, as large as it is.
    Poster,
    /// Small pictures from all over it.
    Sprite,
    /// Which of them belongs to which time, as WebVTT.
    SpriteIndex,
}

impl Beside {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Poster, Self::Sprite, Self::SpriteIndex];

    /// Its name without that of the recording.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poster => "poster.jpg",
            Self::Sprite => "sprite.jpg",
            Self::SpriteIndex => "sprite.vtt",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Poster | Self::Sprite => "image/jpeg",
            Self::SpriteIndex => "text/vtt",
        }
    }

    /// Its key beside the recording at `key`: `….mp4` becomes `….poster.jpg`.
    pub fn key(self, key: &str) -> String {
        format!("{}.{}", key.strip_suffix(".mp4").unwrap_or(key), self.name())
    }
}

impl Destination {
    /// Puts `data` beside the recording at `key`, in place of what is there.
    ///
    /// # Errors
    /// As the disk or the bucket says.
    pub async fn put_beside(
        &self,
        key: &str,
        what: Beside,
        data: Bytes,
    ) -> Result<(), StorageError> {
        let key = what.key(key);
        if let Some(bucket) = self.bucket() {
            return bucket.put_as(&key, data, what.media_type()).await;
        }
        let Some(file) = self.file(&key) else { return Ok(()) };
        let written = tokio::task::spawn_blocking(move || {
            let draft = file.with_extension("draft");
            std::fs::write(&draft, data)?;
            std::fs::rename(draft, file)
        });
        written
            .await
            .unwrap_or_else(|e| Err(io::Error::other(e)))
            .map_err(|e| StorageError::disk("write beside the file", &e))
    }

    /// Deletes what lies beside the recording at `key`, as far as it does.
    pub(super) async fn delete_beside(&self, key: &str) -> Result<(), StorageError> {
        for what in Beside::ALL {
            self.delete(&what.key(key)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_recording() {
        let key = "beam/r/20260101/Rec-r-1.mp4";
        assert_eq!(Beside::Poster.key(key), "beam/r/20260101/Rec-r-1.poster.jpg");
        assert_eq!(Beside::SpriteIndex.key("odd"), "odd.sprite.vtt");
    }
}
