//! Real H.264 and AAC through every kind of file, judged by ffmpeg.

mod crash;
mod files;
mod follow;
mod layout;
mod media;
mod tools;
mod trim;
