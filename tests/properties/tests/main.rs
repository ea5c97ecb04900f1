//! What holds for every input.

mod corpus;
mod differential;
mod generators;
mod life;
mod published;

mod conversations;
mod pods;
mod reading;
mod variables;
