//! The settings through their public door.

mod check;
mod docs;
mod golden;
mod update;
