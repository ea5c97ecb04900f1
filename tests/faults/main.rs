//! The fault matrix: each outbound call of the built component × whatever can go wrong with it.

mod document;
mod matrix;
mod table;
mod world;
