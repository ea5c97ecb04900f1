//! The command: the component in its [`host`], and what it needs around it, on one machine.
//!
//! [`kubernetes`] is an embedded Kubernetes API, [`broker`] an in-memory broker, and [`page`] shows in a browser what they
//! do. [`doors`] says who may ask them, and [`cli`] is the command that wires them together.

pub mod broker;
pub mod cli;
pub mod doors;
pub mod kubernetes;
mod listener;
pub mod page;
mod sync;

use listener::{Server, listen};
