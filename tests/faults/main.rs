//! The fault matrix: each outbound call of the built component × whatever can go wrong with it, and an instance that ends
//! before and after each of them.

mod matrix;
mod table;
mod world;
