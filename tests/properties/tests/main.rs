//! What holds for every input.

mod corpus;
mod differential;

mod promises;
mod published;
