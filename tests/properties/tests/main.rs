//! What holds for every input.

mod corpus;
mod mutations;
mod pods;
mod published;
