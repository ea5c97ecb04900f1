//! What holds for every input.

mod conversations;
mod corpus;
mod generators;
mod life;
mod pods;
mod published;
mod reading;
mod variables;
