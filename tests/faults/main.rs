//! The fault matrix: each outbound call of the built component × whatever can go wrong with it. And the
//! crash matrix: the instance ended before and after each of them.

mod crash;
mod document;
mod matrix;
mod table;
mod world;
